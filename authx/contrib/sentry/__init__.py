"""Keeps secrets out of what Sentry's SDK sends; an optional app, inert without the SDK."""
