"""Rate limits: how often something may be tried, counted for all processes together."""
