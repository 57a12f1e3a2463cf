"""The older scheme, until its date."""
