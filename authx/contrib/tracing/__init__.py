"""Names security events on spans of OpenTelemetry; an optional app, inert without its API."""
