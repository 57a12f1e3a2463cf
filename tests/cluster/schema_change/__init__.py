"""A schema change of the next version, for the scenario that migrates under load."""
