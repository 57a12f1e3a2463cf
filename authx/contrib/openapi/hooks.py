"""Hooks for SPECTACULAR_SETTINGS["POSTPROCESSING_HOOKS"]."""

from typing import Any

from authx.contrib.openapi.responses import ERROR_RESPONSE_BY_CODE, HEADERS, RENEWAL
from authx.rest.exceptions import ERROR_RESPONSES, SERVER_ERROR, error_body


def without_trailing_slash(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Show URLs as clients should write them; the trailing slash is optional."""
    result["paths"] = {path.rstrip("/"): item for path, item in result["paths"].items()}
    return result


def with_headers(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add the headers that belong to a status, in every operation."""
    for item in result["paths"].values():
        for operation in item.values():
            for status, headers in HEADERS.items():
                if status in operation["responses"]:
                    operation["responses"][status] |= {"headers": headers}
            if {"bearer": []} in operation.get("security", []):
                for status in {"200", "204"} & set(operation["responses"]):
                    operation["responses"][status] |= {"headers": RENEWAL}
    return result


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
