"""What can go wrong on this machine, said in one line."""


class StackError(Exception):
    """Raised with a sentence for the user at the terminal."""
