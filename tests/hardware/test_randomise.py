"""Another look for each episode: repeatable from the seed, within its bounds, and nothing but a look."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace

import mujoco
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.controllers.impedance import ImpedanceParams
from robot_rl.core.protocols import Cell
from robot_rl.core.randomisation import LAB, WILD, Randomisation
from robot_rl.core.types import Image
from robot_rl.envs.tasks import make_task
from robot_rl.hardware.cameras.picture import fit
from robot_rl.hardware.mujoco.cell import MujocoCell
from robot_rl.hardware.mujoco.devices import make_sim_cell
from robot_rl.hardware.mujoco.patterns import random_pattern
from tests.hardware.imperfect_cells import moved, start

VISUAL = ("light_", "cam_", "mat_", "tex_data", "geom_type", "geom_size", "geom_pos", "geom_quat", "geom_rgba")
OBJECTS = make_task("PickCube").objects


def model_bytes(model: mujoco.MjModel) -> dict[str, bytes]:
    names = [n for n in dir(model) if isinstance(getattr(model, n), np.ndarray)]
    head = {f"head_{n}": getattr(model.vis.headlight, n).tobytes() for n in ("ambient", "diffuse", "specular")}
    return {n: getattr(model, n).tobytes() for n in names} | head


def cell_of(settings: Randomisation) -> MujocoCell:
    return MujocoCell(OBJECTS, ImpedanceParams(), settings)


@pytest.fixture(scope="module")
def wild() -> MujocoCell:
    return cell_of(WILD)


def look(cell: MujocoCell, seed: int) -> dict[str, bytes]:
    assert cell.looks is not None
    cell.looks.draw(seed)
    return model_bytes(cell.model)


@given(first=st.integers(0, 2**63 - 1), second=st.integers(0, 2**63 - 1))
def test_the_seed_decides_whatever_was_before(wild: MujocoCell, first: int, second: int) -> None:
    once = look(wild, first)
    if first != second:
        assert look(wild, second) != once
    assert look(wild, first) == once


def test_only_what_is_seen_is_ever_written_to(wild: MujocoCell) -> None:
    bare, changed = model_bytes(wild.model), set[str]()
    for seed in range(30):
        now = look(wild, seed)
        changed |= {name for name in now if now[name] != bare[name]}
    assert changed and all(name.startswith((*VISUAL, "head_", "geom_group")) for name in changed)
    model = wild.model
    props = [i for i in range(model.ngeom) if model.geom(i).name.startswith("prop")]
    assert len(props) == 6 and not model.geom_contype[props].any() and not model.geom_conaffinity[props].any()
    fresh = cell_of(LAB).model
    for name in ("geom_size", "geom_pos", "geom_quat", "geom_type"):
        now, usual = (np.delete(getattr(m, name), props, axis=0) for m in (model, fresh))
        assert now.tobytes() == usual.tobytes(), "what can touch keeps its shape"


@pytest.mark.parametrize("name", [f.name for f in fields(Randomisation)])
def test_each_setting_works_alone_and_does_not_disturb_the_others(name: str) -> None:
    value = getattr(WILD, name)
    alone, rest, all_ = (cell_of(s) for s in (Randomisation(**{name: value}), replace(WILD, **{name: 0}), WILD))
    bare = model_bytes(alone.model)
    looks = [(look(alone, s), look(rest, s), look(all_, s)) for s in range(4)]
    assert any(a != bare for a, _, _ in looks)
    if name not in (
        "background_colour",
        "textures",
        "camera_turn_deg",
        "camera_shift_m",
    ):  # those two pairs share fields
        for _, without, with_all in looks:
            mine = {n for n in bare if any(a[n] != bare[n] for a, _, _ in looks)}
            assert all(without[n] == with_all[n] for n in bare if n not in mine)


def test_the_physics_is_the_same_to_the_bit() -> None:
    def states(settings: Randomisation | None) -> Iterator[bytes]:
        task = make_task("PickCube")
        cell, sim = make_sim_cell(task.objects, task.impedance, randomise=settings)
        for seed in (4, 5):
            if cell.reseed is not None:
                cell.reseed(seed)
            cell.world.reset(*start())
            for n in range(20):
                cell.arm.set_target(moved(cell.arm.state().pose_base_tcp, 0.01 if n % 3 else -0.03))
                cell.gripper.command(0.08 * (n % 2))
                cell.clock.sleep_until(cell.clock.now_s() + 0.05)
                yield sim.data.qpos.tobytes() + sim.data.qvel.tobytes() + cell.arm.state().wrench_tcp.tobytes()

    assert list(states(WILD)) == list(states(None))


def test_distractors_stay_out_of_the_workspace(wild: MujocoCell) -> None:
    low, high = make_task("Reach").limits.box_min_m, make_task("Reach").limits.box_max_m
    for seed in range(50):
        look(wild, seed)
        for n in range(6):
            x, y, _ = wild.model.geom(f"prop_{n}").pos
            reach = float(np.max(wild.model.geom(f"prop_{n}").size)) * np.sqrt(2.0)
            assert not (low[0] - reach < x < high[0] + reach and low[1] - reach < y < high[1] + reach)
            assert abs(x - 0.35) < 0.55 and abs(y) < 0.6, "on the table"


@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 40))
def test_patterns_are_pictures(seed: int, height: int, width: int) -> None:
    first, second = (random_pattern(np.random.default_rng(seed), height, width) for _ in range(2))
    assert first.shape == (height, width, 3) and first.dtype == np.uint8 and first.tobytes() == second.tobytes()


def pictures(settings: Randomisation | None, seeds: tuple[int, ...], **options: object) -> list[Image]:
    task = make_task("PickCube")
    cell: Cell
    cell, _ = make_sim_cell(task.objects, task.impedance, ("side",), (48, 64), settings, **options)  # type: ignore[arg-type]
    out = []
    for seed in seeds:
        if cell.reseed is not None:
            cell.reseed(seed)
        cell.world.reset(*start())
        out.append(cell.cameras["side"].read().image)
    cell.close()
    return out


@pytest.mark.gl
@pytest.mark.parametrize("name", [f.name for f in fields(Randomisation)])
def test_every_setting_is_seen(name: str) -> None:
    (bare,) = pictures(None, (0,))
    # Furniture may be outside of a picture now and then, so several episodes are looked at.
    seen = pictures(Randomisation(**{name: getattr(WILD, name)}), (0, 1, 2, 3, 4, 5))
    assert max(np.abs(s.astype(int) - bare).mean() for s in seen) > 0.2


@pytest.mark.gl
def test_pictures_repeat_from_the_seed_and_a_settings_that_changes_nothing_shows_the_usual_scene() -> None:
    a, b, a_again = pictures(WILD, (1, 2, 1))
    assert a.tobytes() == a_again.tobytes() != b.tobytes()
    (bare,) = pictures(None, (0,))
    (next_to_nothing,) = pictures(Randomisation(light_stops=1e-9), (0,))
    assert np.abs(next_to_nothing.astype(int) - bare).max() <= 1, "the props alone are not seen"


@pytest.mark.gl
def test_a_crop_is_that_part_of_the_whole_picture() -> None:
    crop = (200, 100, 256, 192)
    task = make_task("PickCube")
    whole_cell, _ = make_sim_cell(task.objects, task.impedance, ("side",), (480, 640))
    part_cell, _ = make_sim_cell(task.objects, task.impedance, ("side",), (192, 256), crops={"side": crop})
    images = []
    for cell in (whole_cell, part_cell):
        cell.world.reset(*start())
        images.append(cell.cameras["side"].read().image)
        cell.close()
    assert np.abs(fit(images[0], crop, None).astype(int) - images[1]).mean() < 0.05
