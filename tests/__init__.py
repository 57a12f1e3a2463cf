"""One file a promise; phone.py and processes.py are what they are written with."""
