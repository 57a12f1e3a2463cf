"""The HTTP side: reads a request, calls authx.sessions, shapes the answer."""
