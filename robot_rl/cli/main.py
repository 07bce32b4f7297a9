"""Entry point of ``robot-rl``: picks the verb, turns known errors into one sentence.

Exit codes: 0 done; 2 a wrong argument, configuration or file, said in one sentence on stderr; 130 ended by Ctrl-C, with
everything saved.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple

from robot_rl.core.errors import ConfigError, RobotRlError, unknown_name

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130
# As `robot_rl.hardware.cell.tether.PARENT`; named here too so that `--help` need not import numpy.
TETHER = "ROBOT_RL_PARENT"


class Verb(NamedTuple):
    """One verb of the command.

    Attributes:
        module: holds ``run(argv) -> exit code``.
        usage: arguments in short.
        text: what it does.
    """

    module: str
    usage: str
    text: str


VERBS = {
    "train": Verb(
        "robot_rl.cli.train", "TASK [--seed 0] [--lockstep] ...", "train a policy; Ctrl-C saves, --resume goes on"
    ),
    "bc": Verb("robot_rl.cli.bc", "TASK [--demos DIR] ...", "clone demonstrations into a base policy"),
    "residual-ppo": Verb(
        "robot_rl.cli.residual_ppo", "TASK --base RUN", "correct a frozen base by PPO in many simulations at once"
    ),
    "serve-base": Verb(
        "robot_rl.cli.serve_base", "BASE [--port 8765]", "serve a base policy to programs on this or another machine"
    ),
    "base-card": Verb(
        "robot_rl.cli.base_card", "TASK FILE [--inputs ...]", "say how somebody else's checkpoint is asked, as a base"
    ),
    "act": Verb("robot_rl.cli.act", "--learner tcp://HOST:PORT", "act for a learner on this or another machine"),
    "keys": Verb("robot_rl.cli.keys", "create DIR [--actor NAME]", "keys for actors on other machines"),
    "eval": Verb("robot_rl.cli.evaluate", "CHECKPOINT [--n 100]", "success rate of a checkpoint or run, without help"),
    "report": Verb("robot_rl.cli.report", "RUN", "write one HTML page about a run"),
    "compare": Verb(
        "robot_rl.cli.compare", "LABEL=RUN... --out DIR", "curves and table of several runs, seeds grouped"
    ),
    "demos": Verb(
        "robot_rl.cli.demos", "record TASK [--device NAME] | inspect PATH", "record or look at demonstrations"
    ),
    "teleop": Verb("robot_rl.cli.teleop", "TASK [--device spacemouse]", "drive the arm by hand; nothing is recorded"),
    "correct": Verb(
        "robot_rl.cli.correct", "[RUN] [--device spacemouse]", "take over from a policy that is in training"
    ),
    "console": Verb(
        "robot_rl.cli.console", "[--folder runs]", "the operator's page: watch, take over, record, play back"
    ),
    "label": Verb("robot_rl.cli.label", "PATH [--success 12 15]", "say after the fact whether episodes were successes"),
    "reward": Verb(
        "robot_rl.cli.reward", "collect|train|audit|...", "models that see whether the task is done, and their audit"
    ),
    "label-prefs": Verb(
        "robot_rl.cli.label_prefs", "DATA --out PREFS --labeler NAME", "have pairs of recorded clips compared"
    ),
    "data": Verb("robot_rl.cli.data", "list|validate|replay|... PATH", "look at, check, repair and exchange episodes"),
    "crop": Verb(
        "robot_rl.cli.crop", "TASK|PATH|CELL [--auto]", "choose what part of a camera's picture a policy sees"
    ),
    "tasks": Verb("robot_rl.cli.tasks", "", "list the tasks and their options"),
    "cell": Verb(
        "robot_rl.cli.cell", "up|check|status|enable|... CELL", "start and watch a cell on ROS 2, speak to its arbiter"
    ),
    "node": Verb("robot_rl.cli.node", "NAME CELL", "one node of a cell, as `cell up` and the launch files start it"),
    "fci-emulator": Verb(
        "robot_rl.cli.fci_emulator", "[--task Reach]", "the simulated cell behind a Franka robot's network protocol"
    ),
    "bench": Verb("robot_rl.cli.bench", "[rates|replay|update|transport]", "measure speeds on this machine"),
    "doctor": Verb("robot_rl.cli.doctor", "", "versions, graphics, cores: what a bug report needs"),
}


def usage() -> str:
    """Text of ``robot-rl --help``."""
    width = max(len(f"{name} {verb.usage}") for name, verb in VERBS.items())
    lines = [
        "usage: robot-rl VERB ...",
        "",
        "Learn robot manipulation from demonstrations, corrections and practice.",
        "",
    ]
    lines += [f"  {f'{name} {verb.usage}':<{width}}  {verb.text}" for name, verb in VERBS.items()]
    lines += ["", "robot-rl VERB --help describes every option with its unit and default."]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: arguments without the program's name; None takes the process's own.

    Returns:
        The exit code.
    """
    if TETHER in os.environ:
        from robot_rl.hardware.cell.tether import tie_to_parent

        tie_to_parent()
    args = list(sys.argv[1:] if argv is None else argv)
    if not args or args[0] in ("-h", "--help"):
        print(usage())
        return 0 if args else EXIT_ERROR
    if args[0] == "--version":
        from robot_rl.runtime.run_folder import versions

        print(versions()["robot-rl"])
        return 0
    try:
        if args[0] not in VERBS:
            raise ConfigError(unknown_name("verb", args[0], VERBS))
        return int(import_module(VERBS[args[0]].module).run(args[1:]))
    except RobotRlError as e:
        print(f"robot-rl: {e}", file=sys.stderr)
        return EXIT_ERROR
    except BrokenPipeError:
        # Whoever read the output has seen enough; without this the interpreter complains when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("robot-rl: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
