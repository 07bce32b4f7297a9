"""The cell's topics and services as the devices that an environment knows."""
