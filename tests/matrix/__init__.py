"""What nox runs in an environment with the wheel alone; it imports nothing of this repository."""
