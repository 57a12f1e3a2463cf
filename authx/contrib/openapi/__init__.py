"""The OpenAPI description of the endpoints, for drf-spectacular."""
