"""Prometheus metrics of sign-ins, refreshes, limits, the sweep and requests; an optional app."""
