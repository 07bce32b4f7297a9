"""The keyboard of a terminal as the operator's device; works over ssh, and needs no window system."""
