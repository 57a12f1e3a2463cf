"""The description of authx.contrib.account; imported only where that app is installed."""

from http import HTTPStatus

from authx.contrib.account.endpoints import RecoverConfirmEndpoint, RecoverEndpoint
from authx.contrib.openapi.operations import OPERATIONS, Operation
from authx.contrib.openapi.responses import BODY
from authx.errors import InvalidRecoveryTokenError
from authx.rest.exceptions import ERROR_RESPONSES

OPERATIONS[RecoverEndpoint] = {
    "post": Operation(
        "recover",
        "Ask for a mail with a link to a new password",
        "The response is the same whether there is an account with this name or address.",
        BODY,
        status=HTTPStatus.ACCEPTED,
    ),
}
OPERATIONS[RecoverConfirmEndpoint] = {
    "post": Operation(
        "recover_confirm",
        "Set a new password by the token of the link",
        "Revokes every session of the user and returns the first pair of a new one on this "
        "device. A token works once, for 30 minutes, until the password changes.",
        (ERROR_RESPONSES[InvalidRecoveryTokenError], *BODY),
    ),
}
