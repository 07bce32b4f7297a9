"""The nodes of a cell."""
