"""A password validator for common passwords, also if they are repeated or padded."""

import re
from typing import TYPE_CHECKING, Final

from django.contrib.auth import password_validation
from django.core.exceptions import ValidationError

if TYPE_CHECKING:
    from django.contrib.auth.models import User

# Characters that users add around a word to make it longer.
PADDING: Final = re.compile(r"^[\W\d_]+|[\W\d_]+$")
# The shortest repeated unit that is accepted.
MIN_UNIT_LENGTH: Final = 4


class CommonPasswordValidator(password_validation.CommonPasswordValidator):
    """Refuses Django's 20 000 common passwords, also repeated or padded with digits and symbols.

    Few of them have fifteen characters, but "password1234567" has.
    """

    def validate(self, password: str, user: "User | None" = None) -> None:
        """Raise Django's ValidationError for a common password or one made of it."""
        unit = unit_of(password.lower())
        if len(unit) < MIN_UNIT_LENGTH:
            raise ValidationError(self.get_error_message(), code="password_too_common")
        for guess in (password, unit, PADDING.sub("", password)):
            super().validate(guess, user)


def unit_of(password: str) -> str:
    """Return the unit that a password repeats, the last time perhaps in part, or itself."""
    length = len(password)
    whole = range(1, length + 1)
    period = next((size for size in whole if password.startswith(password[size:])), 0)
    return password[:period]
