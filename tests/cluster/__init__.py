"""Several nodes on loopback, and what phones notice when one of them fails: `make cluster`."""
