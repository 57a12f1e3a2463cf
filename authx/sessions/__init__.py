"""Device sessions: the only writer of them, one module for each thing that can happen to one.

Locks are taken in the order user before session. Nothing in here knows HTTP.
"""
