"""Each command is named for what it does."""
