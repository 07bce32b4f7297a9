"""The MuJoCo mirror of the cell: a Panda built from published numbers, its devices, and the 1 kHz loop."""
