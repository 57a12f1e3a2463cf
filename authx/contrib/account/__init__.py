"""Optional: the pages of an account. Devices, activity, a new password, and the way back in."""
