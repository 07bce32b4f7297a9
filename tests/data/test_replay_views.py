"""Pictures and features beside the rows: every frame belongs to its own step, whoever commanded."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.core.errors import DataError
from robot_rl.core.transition import Observation, StepRecord, ViewBatch
from robot_rl.data.replay import MixtureSampler, ReplayBuffer
from tests.data.episodes import CAMERAS, SPEC, episode
from tests.data.reference import gather
from tests.data.test_replay import filled, interleaved

CROPS = 3
FEATURES = {name: (CROPS, 2, 2, 4) for name in CAMERAS}


def seen(records: list[StepRecord]) -> list[StepRecord]:
    """As after a frozen encoder whose features say episode, step and crop."""

    def features(obs: Observation) -> dict[str, np.ndarray]:
        out = {name: np.empty(shape, np.float16) for name, shape in FEATURES.items()}
        for number, array in enumerate(out.values()):
            array[:] = np.array([*obs.state[:2], 0.0, number], np.float16)
            array[..., 2] = np.arange(CROPS)[:, None, None]
        return out

    def see(obs: Observation | None) -> Observation | None:
        return None if obs is None else replace(obs, images={}, features=features(obs))

    return [replace(r, obs=see(r.obs), final_obs=see(r.final_obs)) for r in records]


@given(interleaved(images=True), st.integers(2, 25), st.integers(1, 3), st.integers(0, 8))
def test_features_belong_to_their_own_step(
    records: list[StepRecord], capacity: int, n_step: int, max_staged: int
) -> None:
    how = {"n_step": n_step, "max_staged": max_staged, "feature_shapes": FEATURES, "encoder": "e"}
    buffer, _ = filled(seen(records), capacity, **how)
    slots = np.union1d(buffer.online.members, buffer.demo.members)
    out, ends = gather(buffer, slots)
    for where, states in ((slots, out.state), (ends, out.next_state)):
        views = {name: np.empty((len(slots), *shape), np.float16) for name, shape in buffer.views.shapes}
        buffer.gather_views(where, views, np.random.default_rng(0))
        for camera, name in enumerate(CAMERAS):
            np.testing.assert_array_equal(
                views[name][..., :2], np.broadcast_to(states[:, None, None, :2], (*views[name].shape[:3], 2))
            )
            assert (views[name][..., 3] == camera).all()


@pytest.mark.parametrize("kind", ["pictures", "features"])
@given(st.lists(st.sets(st.integers(0, 6)), min_size=2, max_size=4), st.integers(0, 2**16))
def test_every_correction_is_drawn_with_its_own_picture_in_both_shares(
    kind: str, corrections: list[set[int]], seed: int
) -> None:
    """Operators take over again and again, over several episodes: no first step of a correction may borrow a frame."""
    shapes = {"camera_shapes": CAMERAS} if kind == "pictures" else {"feature_shapes": FEATURES, "encoder": "e"}
    buffer = ReplayBuffer(SPEC, 60, pinned=20, n_step=2, **shapes)
    buffer.add_demos([seen(episode(9, 5, images=True)) if kind == "features" else episode(9, 5, images=True)])
    for number, steps in enumerate(corrections):
        records = episode(number, 7, interventions=sorted(steps), images=True)
        for record in seen(records) if kind == "features" else records:
            buffer.add(record)
    out = MixtureSampler(buffer, 64, 2, 0.5, np.random.default_rng(seed)).sample()
    assert isinstance(out, ViewBatch)
    for views, states in ((out.views, out.batch.state), (out.next_views, out.batch.next_state)):
        for view in views.values():
            number, step = (
                (view[..., 0, 0, 0], view[..., 0, 0, 1])
                if kind == "features"
                else (view[..., 1, 1, 0], view[..., 0, 0, 0])
            )
            np.testing.assert_array_equal(number, states[..., 0])
            np.testing.assert_array_equal(step, states[..., 1])
    drawn = {
        (int(n), int(i)) for n, i in out.batch.state[:, MixtureSampler(buffer, 64, 2, 0.5).is_demo, :2].reshape(-1, 2)
    }
    assert drawn <= {(9, i) for i in range(5)} | {(n, i) for n, steps in enumerate(corrections) for i in steps}


def test_crops_are_drawn_for_every_row_camera_and_end_by_itself() -> None:
    buffer, _ = filled(seen(episode(0, 5)), feature_shapes=FEATURES, encoder="e")
    out = MixtureSampler(buffer, 600, 1, 0.5, np.random.default_rng(0)).sample()
    assert isinstance(out, ViewBatch)
    crops = np.stack([v[0, :, 0, 0, 2] for views in (out.views, out.next_views) for v in views.values()])
    combinations, counts = np.unique(crops, axis=1, return_counts=True)
    assert combinations.shape[1] == CROPS**4  # of about 7 draws each
    assert counts.max() < 30


def test_features_of_another_layout_are_refused_and_nothing_is_stored() -> None:
    buffer = ReplayBuffer(SPEC, 10, pinned=0, feature_shapes=FEATURES, encoder="e")
    with pytest.raises(DataError, match="features of 'side' are none, expected float16"):
        buffer.add(episode(0, 1, images=True)[0])
    bad = seen(episode(0, 1))[0]
    crop = {name: array[:1] for name, array in bad.obs.features.items()}
    with pytest.raises(DataError, match="expected float16"):
        buffer.add(replace(bad, obs=replace(bad.obs, features=crop)))
    assert len(buffer) == 0 and buffer.add(bad)
    for encoder, shapes in (("", FEATURES), ("e", {})):
        with pytest.raises(DataError, match="name both"):
            ReplayBuffer(SPEC, 10, pinned=0, feature_shapes=shapes, encoder=encoder)
