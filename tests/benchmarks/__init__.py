"""Measures authx beside the systems that it may replace: `make bench`."""
