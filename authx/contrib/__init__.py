"""Optional apps; authx works without each of them."""
