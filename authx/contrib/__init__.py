"""Optional parts; the rest of authx works without them."""
