"""Token introspection for other services (RFC 7662), and the credentials of these services."""
