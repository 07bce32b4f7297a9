"""Devices that wrap devices and behave like those of a real cell: late, shaky, now and then silent."""

from robot_rl.hardware.imperfect.cell import imperfect_cell

__all__ = ["imperfect_cell"]
