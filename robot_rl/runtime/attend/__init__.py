"""An operator attends to an actor that is running: the device is at one process, the arm at another."""
