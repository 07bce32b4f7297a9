"""Whether a machine and a cell are fit to train: what was found, how bad it is, what to do about it."""
