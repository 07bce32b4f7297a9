"""Installs launch files and executables as the ROS 2 package robot_rl when built by colcon.

The Python code comes from the pip package robot-rl; this distribution has another name so that the metadata of the
two never hide one another.
"""

from glob import glob

from setuptools import setup

PACKAGE = "robot_rl"

setup(
    name="robot_rl_launch",
    version="0.1.0",
    packages=[],
    py_modules=[],
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (f"share/{PACKAGE}", ["package.xml"]),
        (f"share/{PACKAGE}/launch", glob("*.launch.py")),
        (f"lib/{PACKAGE}", glob("bin/*")),
    ],
    license="Apache-2.0",
    zip_safe=True,
)
