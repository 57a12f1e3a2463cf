"""Everything that knows of passwords: check, sign-in, limits, backend, validation."""
