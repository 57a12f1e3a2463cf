"""The only writer of sessions and tokens; one module for each thing that can happen to them.

Lock order is user before session everywhere. Nothing in here knows HTTP.
"""
