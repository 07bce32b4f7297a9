"""Gymnasium environments: the robot cell as a Markov decision process, its tasks, experts and correctors."""

if __name__ != "robot_rl.envs":
    raise ImportError("import robot_rl.envs, not envs")

from robot_rl.envs.cell_env import CellEnv
from robot_rl.envs.experts import CorrectorStyle, ExpertStyle, ScriptedCorrector, ScriptedExpert
from robot_rl.envs.make import make_corrector, make_env, make_expert, register_envs
from robot_rl.envs.options import EnvOptions
from robot_rl.envs.tasks import make_task, register_task, task_names

__all__ = [
    "CellEnv",
    "CorrectorStyle",
    "EnvOptions",
    "ExpertStyle",
    "ScriptedCorrector",
    "ScriptedExpert",
    "make_corrector",
    "make_env",
    "make_expert",
    "make_task",
    "register_envs",
    "register_task",
    "task_names",
]
