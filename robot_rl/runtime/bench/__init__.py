"""How fast this machine acts, and how fast records and parameters travel."""
