"""The trail: the only writer of security events and of the notices about them.

An event is written in the transaction of the fact that it tells: neither exists without the other.
"""
