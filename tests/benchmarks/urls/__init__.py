"""The addresses of each measured project."""
