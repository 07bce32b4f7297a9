"""Behaviour cloning: from recorded demonstrations to a run folder with a frozen base policy."""
