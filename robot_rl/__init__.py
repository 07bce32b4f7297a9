"""robot_rl: train manipulation policies on a Franka cell, or on its MuJoCo mirror, with one program."""

import ctypes
import os
import sys

__version__ = "0.1.0"


def _choose_gl_backend() -> None:
    """Pick a headless OpenGL for MuJoCo, which fixes its choice when it is first imported.

    A backend whose library is missing would make that import fail; training from states needs none at all.
    """
    if sys.platform != "linux" or "MUJOCO_GL" in os.environ:
        return
    for backend, library in (("egl", "libEGL.so.1"), ("osmesa", "libOSMesa.so.8")):
        try:
            ctypes.CDLL(library)
        except OSError:
            continue
        os.environ["MUJOCO_GL"] = backend
        return
    os.environ["MUJOCO_GL"] = "disable"


_choose_gl_backend()
