"""Hooks for SPECTACULAR_SETTINGS["POSTPROCESSING_HOOKS"]."""

import re
from copy import deepcopy
from typing import Any, Final

from authx.contrib.openapi.operations import PREFIX
from authx.contrib.openapi.responses import CHALLENGE, ERROR_RESPONSE_BY_CODE, HEADERS, RENEWAL
from authx.rest.exceptions import ERROR_RESPONSES, SERVER_ERROR, error_body

BEARER: Final = f"{PREFIX}_bearer"
# Components: lists of pages have a prefix of drf-spectacular.
OURS: Final = re.compile(rf"(Paginated|Patched)?{PREFIX.capitalize()}[A-Z]")


def without_trailing_slash(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Show the URLs of authx as clients should write them; the trailing slash is optional."""
    paths = {
        path.rstrip("/") if any(map(_is_ours, item.values())) else path: item
        for path, item in result["paths"].items()
    }
    _name_apart(paths)
    result["paths"] = paths
    return result


def _name_apart(paths: dict[str, Any]) -> None:
    """Name the operations of a second mount, or of a subclass beside its view, by their path."""
    known: set[str] = set()
    for path, item in paths.items():
        for operation in filter(_is_ours, item.values()):
            if operation["operationId"] in known:
                mount = path.replace("{", "").replace("}", "").rpartition("/")[0]
                operation["operationId"] += re.sub(r"\W+", "_", mount)
            known.add(operation["operationId"])


def _is_ours(operation: Any) -> bool:
    # With CAMELIZE_NAMES, the letter after the prefix is a capital.
    return str(operation.get("operationId")).startswith(PREFIX)


def with_headers(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add the headers that belong to a status, in the operations of authx.

    An operation of a project that takes an access token has those of the token.
    """
    for item in result["paths"].values():
        for operation in item.values():
            takes_token = {BEARER: []} in operation.get("security", [])
            headers = HEADERS if _is_ours(operation) else {"401": CHALLENGE} if takes_token else {}
            for status in headers.keys() & set(operation["responses"]):
                _add_headers(operation["responses"][status], headers[status])
            if takes_token:
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
        f"| {int(response.status)} | `{response.code}` | {response.description} |"
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
    components = result.setdefault("components", {})
    # What a project has declared itself stays.
    components["examples"] = examples | components.get("examples", {})
    return result


def set_aside(result: dict[str, Any], generator: Any, **_: Any) -> dict[str, Any]:
    """Hide the components of authx from the hooks that follow, until `put_back`.

    They would rename fields that no renderer of a project renames (`camelize_serializer_fields`),
    or name the choices of a project after those of authx (`postprocess_schema_enums`).
    """
    schemas = result.get("components", {}).get("schemas", {})
    ours = {name: one for name, one in schemas.items() if OURS.match(name)}
    # Copied: hooks change components in place.
    generator.authx_schemas = deepcopy(ours)
    for name in ours:
        del schemas[name]
    return result


def put_back(result: dict[str, Any], generator: Any, **_: Any) -> dict[str, Any]:
    """Describe the endpoints of authx as `set_aside` found them."""
    components = result.setdefault("components", {})
    schemas = components.get("schemas", {}) | generator.authx_schemas
    components["schemas"] = dict(sorted(schemas.items()))
    return result
