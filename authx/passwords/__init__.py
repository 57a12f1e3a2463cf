"""Everything about passwords: check, sign-in, limits, backend and validation."""
