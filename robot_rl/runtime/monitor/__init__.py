"""What people see of a run while it goes: the live line, CSV tables, TensorBoard files."""
