"""Hooks for SPECTACULAR_SETTINGS["POSTPROCESSING_HOOKS"]."""

from typing import Any

from authx.contrib.openapi.operations import OPERATIONS
from authx.contrib.openapi.responses import ERROR_RESPONSE_BY_CODE, HEADERS, RENEWAL
from authx.rest.exceptions import ERROR_RESPONSES, SERVER_ERROR, error_body


def without_trailing_slash(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Show the URLs of authx as clients should write them; the trailing slash is optional."""
    ours = {operation.operation_id for view in OPERATIONS.values() for operation in view.values()}
    result["paths"] = {
        path.rstrip("/")
        if any(one.get("operationId") in ours for one in item.values())
        else path: item
        for path, item in result["paths"].items()
    }
    return result


def with_headers(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add the headers that belong to a status, in every operation."""
    for item in result["paths"].values():
        for operation in item.values():
            for status, headers in HEADERS.items():
                if status in operation["responses"]:
                    _add_headers(operation["responses"][status], headers)
            if {"bearer": []} in operation.get("security", []):
                for status in {"200", "204"} & set(operation["responses"]):
                    _add_headers(operation["responses"][status], RENEWAL)
    return result


def _add_headers(response: dict[str, Any], headers: dict[str, Any]) -> None:
    # What a project has declared itself stays.
    response["headers"] = headers | response.get("headers", {})


def with_error_codes(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """List every error in the introduction, also those that belong to no operation."""
    responses = sorted({*ERROR_RESPONSES.values(), SERVER_ERROR})
    rows = [
        f"| {response.status.value} | `{response.code}` | {response.description} |"
        for response in responses
    ]
    table = ["| status | `error` | `error_description` |", "|---|---|---|", *rows]
    # A project need not describe its API.
    description = result["info"].get("description", "")
    result["info"]["description"] = "\n\n".join([description, "\n".join(table)]).lstrip()
    examples = {
        code: {"value": error_body(response)}
        for code, response in sorted(ERROR_RESPONSE_BY_CODE.items())
    }
    result["components"]["examples"] = examples
    return result
