"""Whether a checkpoint fits what is to go on from it: every difference, not only the first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from robot_rl.core.errors import DataError
from robot_rl.core.specs import NO_VIEWS, ActionSpec, StateSpec, ViewSpec
from robot_rl.runtime.learner.checkpoint import Checkpoint

Arrays = Mapping[str, npt.NDArray[Any]]


def layout_facts(state_spec: StateSpec, action_spec: ActionSpec, views: ViewSpec | None = None) -> dict[str, Any]:
    """What a checkpoint says about states, actions and views, plain data."""
    return {
        "state_spec": state_spec.to_list(),
        "state_checksum": state_spec.checksum,
        "action_spec": {**vars(action_spec), "active": list(action_spec.active)},
        "views": view_facts(views or NO_VIEWS),
    }


def view_facts(views: ViewSpec) -> dict[str, Any]:
    """What is written down about views, plain data."""
    return {"shapes": {name: list(shape) for name, shape in views.shapes}, "encoder": views.encoder}


def check_compatible(
    saved: Checkpoint,
    agent: Arrays,
    state_spec: StateSpec,
    action_spec: ActionSpec,
    views: ViewSpec | None = None,
) -> None:
    """Refuse a checkpoint that cannot be continued.

    Another frozen encoder whose features have the same shape is none of the differences: the features are computed
    anew, see `new_encoder`.

    Args:
        saved: the checkpoint.
        agent: arrays of a fresh agent of the configuration.
        state_spec: of the environment.
        action_spec: of the environment.
        views: what the networks see.

    Raises:
        DataError: with the list of all differences.
    """
    facts = layout_facts(state_spec, action_spec, views)
    found = [
        *state_differences(saved.state.get("state_spec"), facts["state_spec"]),
        *value_differences("action", saved.state.get("action_spec"), facts["action_spec"]),
        *value_differences("views", _view_shapes(saved.state), facts["views"]["shapes"]),
        *array_differences(saved.agent, agent),
    ]
    if found:
        raise DataError(
            f"the checkpoint {saved.path} does not fit what is to be trained, {len(found)} differences: "
            + "; ".join(found)
        )


def new_encoder(saved: Checkpoint, views: ViewSpec) -> str:
    """One sentence when the networks of a checkpoint have learnt on another encoder's features; empty if not."""
    told = saved.state.get("views")
    before = told.get("encoder", "") if isinstance(told, Mapping) else ""
    if before == views.encoder:
        return ""
    return (
        f"the frozen encoder is another than before ({views.encoder or 'none'}, before {before or 'none'}): features "
        "are computed anew from the logged frames, and what was learnt on the old ones has to be learnt again"
    )


def _view_shapes(state: Mapping[str, Any]) -> Any:
    told = state.get("views")
    return told.get("shapes") if isinstance(told, Mapping) else {}


def array_differences(got: Arrays, expected: Arrays) -> list[str]:
    """Names, types and shapes that differ, one sentence each."""
    out = [f"{name} is missing" for name in expected if name not in got]
    out += [f"{name} is not expected" for name in got if name not in expected]
    for name, array in expected.items():
        have = got.get(name)
        if have is not None and (have.shape, have.dtype) != (array.shape, array.dtype):
            out.append(f"{name} is {_describe(have)}, expected {_describe(array)}")
    return out


def state_differences(got: Any, expected: list[dict[str, Any]]) -> list[str]:
    """Parts of the state that differ, one sentence each."""
    if not isinstance(got, list) or not all(isinstance(part, dict) and "name" in part for part in got):
        return ["it does not say how its states are laid out"]
    have, want = {p["name"]: p for p in got}, {p["name"]: p for p in expected}
    out = [f"state part {name} is missing" for name in want if name not in have]
    out += [f"state part {name} is not expected" for name in have if name not in want]
    for name in (n for n in want if n in have):
        out += value_differences(f"state part {name}", have[name], want[name])
    if not out and list(have) != list(want):
        out.append(f"the state's parts are in the order {', '.join(have)}, expected {', '.join(want)}")
    return out


def value_differences(what: str, got: Any, expected: Mapping[str, Any]) -> list[str]:
    """Entries of a mapping that differ, one sentence each."""
    have = got if isinstance(got, Mapping) else {}
    names = dict.fromkeys([*expected, *have])
    return [
        f"{what}: {name} is {have.get(name)!r}, expected {expected.get(name)!r}"
        for name in names
        if have.get(name) != expected.get(name)
    ]


def _describe(array: npt.NDArray[Any]) -> str:
    return f"{array.dtype}[{','.join(map(str, array.shape))}]"
