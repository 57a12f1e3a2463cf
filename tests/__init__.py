"""One file a promise; phone.py and crew.py are what they are written with."""
