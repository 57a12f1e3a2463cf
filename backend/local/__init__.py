"""Runs the real thing on one machine, without root, Docker or a server that runs already."""
