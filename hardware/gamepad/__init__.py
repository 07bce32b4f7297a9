"""A gamepad on Linux's joystick interface as the operator's device; needs no library."""
