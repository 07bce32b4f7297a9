"""``python -m robot_rl.cli`` is the same as ``robot-rl``."""

import sys

from robot_rl.cli.main import main

sys.exit(main())
