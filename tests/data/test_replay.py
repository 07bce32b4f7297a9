"""The buffer against the reference: any interleaving, any capacity, any gap, any repetition."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.core.errors import DataError
from robot_rl.core.marks import DISCARDED
from robot_rl.core.transition import Source, StepRecord
from robot_rl.data.replay import ReplayBuffer, RewardWeights
from tests.data.episodes import CAMERAS, SPEC, episode
from tests.data.reference import Reference, check_everything, gather, identity, number_of

WEIGHTS = RewardWeights(success=2.0, process=0.5, force_penalty=1.5, grasp_penalty=3.0)
BIG = 1000


@st.composite
def episodes(draw: st.DrawFn, max_episodes: int = 5, images: bool = False) -> list[list[StepRecord]]:
    out = []
    for number in range(draw(st.integers(1, max_episodes))):
        steps = draw(st.integers(1, 7))
        operator = draw(st.sets(st.integers(0, steps - 1)))
        out.append(
            episode(
                number,
                steps,
                terminated=draw(st.booleans()),
                ended=draw(st.integers(0, 4)) > 0,
                interventions=sorted(operator),
                source=draw(st.sampled_from([Source.POLICY, Source.POLICY, Source.DEMO])),
                images=images,
            )
        )
    return out


@st.composite
def interleaved(draw: st.DrawFn, images: bool = False) -> list[StepRecord]:
    """Steps of several actors as they arrive: each episode in order, some steps lost, some sent twice."""
    queues = [list(e) for e in draw(episodes(images=images))]
    arrived: list[StepRecord] = []
    while any(queues):
        queue = draw(st.sampled_from([q for q in queues if q]))
        record = queue.pop(0)
        fate = draw(st.integers(0, 11))
        if fate != 0:
            arrived.append(record)
        if fate == 1:
            arrived.append(draw(st.sampled_from(arrived)))
    return arrived


def filled(records: list[StepRecord], capacity: int = BIG, **options: object) -> tuple[ReplayBuffer, Reference]:
    """Buffer and reference after the same records."""
    settings: dict = {"gamma": 0.9, "n_step": 1, "weights": WEIGHTS, "pinned": 200, **options}
    buffer = ReplayBuffer(SPEC, capacity, **settings)
    reference = Reference(WEIGHTS, settings["gamma"], settings["n_step"])
    for record in records:
        assert buffer.add(record) == reference.add(record)
    return buffer, reference


@given(interleaved(), st.integers(2, 30), st.integers(1, 4), st.integers(0, 8))
def test_every_window_is_right_at_every_moment(
    records: list[StepRecord], capacity: int, n_step: int, max_staged: int
) -> None:
    buffer, reference = filled([], capacity, n_step=n_step, max_staged=max_staged)
    for record in records:
        assert buffer.add(record) == reference.add(record)
        check_everything(buffer, reference)
    added, duplicates = buffer.counters.added, buffer.counters.duplicates
    assert added + duplicates == len(records)
    assert added == sum(len(steps) for steps in reference.steps.values())


@given(interleaved(), st.integers(1, 4))
def test_nothing_is_lost_once_all_episodes_have_ended(records: list[StepRecord], n_step: int) -> None:
    buffer, reference = filled(records, n_step=n_step)
    for number, steps in list(reference.steps.items()):
        last = max(steps)
        if not steps[last].last:
            end = replace(episode(number, last + 2)[-1], source=steps[last].source)
            assert buffer.add(end) == reference.add(end)
    lengths = check_everything(buffer, reference)
    assert set(lengths) == reference.known()
    # with room for all and no suspension no window is shorter than it could be
    assert lengths == {at: reference.longest(*at) for at in lengths}


@given(st.lists(st.tuples(st.integers(1, 8), st.booleans()), min_size=1, max_size=5), st.integers(2, 25))
def test_one_actors_steps_are_there_at_once_and_the_newest_stay(shapes: list[tuple[int, bool]], capacity: int) -> None:
    buffer, reference = filled([], capacity)
    order: list[tuple[int, int]] = []
    for number, (steps, terminated) in enumerate(shapes):
        for record in episode(number, steps, terminated=terminated):
            buffer.add(record)
            reference.add(record)
            order.append((number, record.step_index))
            done = [at for at in order if at in reference.known()]
            drawable = check_everything(buffer, reference)
            assert sorted(drawable) == sorted(done[len(done) - len(drawable) :])
            frames = len(order) + number + 1
            # at worst every second slot holds a final frame, one is skipped at the end, and the tip takes two
            kept = len(done) if frames <= capacity else (capacity - 3) // 2
            assert len(drawable) >= min(len(done), kept)


@given(interleaved(), st.integers(2, 12), st.integers(0, 4))
def test_shares(records: list[StepRecord], capacity: int, max_staged: int) -> None:
    buffer, reference = filled(records, capacity, max_staged=max_staged)
    for members, demo_share in ((buffer.online.members, False), (buffer.demo.members, True)):
        for slot, state in zip(members, gather(buffer, members)[0].state, strict=True):
            number, step = identity(state)
            record = reference.steps[number][step]
            first = reference.steps[number][min(reference.steps[number])]
            pinned = first.source is Source.DEMO
            assert (slot >= capacity) == pinned
            assert (pinned or record.intervention) if demo_share else not pinned
    in_both = set(buffer.online.members) & set(buffer.demo.members)
    operator = [s for s in buffer.online.members if _record(buffer, reference, s).intervention]
    assert in_both == set(operator)


def _record(buffer: ReplayBuffer, reference: Reference, slot: int) -> StepRecord:
    number, step = identity(gather(buffer, np.array([slot]))[0].state[0])
    return reference.steps[number][step]


@given(interleaved(images=True), st.integers(2, 25), st.integers(1, 3), st.integers(0, 8))
def test_images_belong_to_their_own_step(
    records: list[StepRecord], capacity: int, n_step: int, max_staged: int
) -> None:
    buffer, _ = filled(records, capacity, n_step=n_step, max_staged=max_staged, camera_shapes=CAMERAS)
    slots = np.union1d(buffer.online.members, buffer.demo.members)
    out, ends = gather(buffer, slots)
    for where, states in ((slots, out.state), (ends, out.next_state)):
        images = {name: np.empty((len(slots), *shape), np.uint8) for name, shape in CAMERAS.items()}
        buffer.gather_views(where, images, np.random.default_rng(0))
        for name in CAMERAS:
            np.testing.assert_array_equal(images[name][:, 1, 1, 0], states[:, 0])
            np.testing.assert_array_equal(images[name][:, 0, 0, 0], states[:, 1])


def test_a_time_out_bootstraps_from_the_true_final_observation() -> None:
    for terminated, discount in ((False, 0.9**2), (True, 0.0)):
        buffer, _ = filled(episode(0, 5, terminated=terminated), n_step=3)
        out, _ = gather(buffer, buffer.online.members)
        row = out.state[:, 1].tolist().index(3.0)
        assert out.discount[row] == pytest.approx(discount)
        assert identity(out.next_state[row]) == (0, 5)


def test_the_executed_action_is_stored() -> None:
    record = episode(0, 1)[0]
    buffer, _ = filled([record])
    assert not np.array_equal(record.action_executed, record.action_policy)
    np.testing.assert_array_equal(gather(buffer, buffer.online.members)[0].action[0], record.action_executed)


def test_weights_hold_from_the_next_draw_on() -> None:
    buffer, _ = filled(episode(0, 3))
    slots = buffer.online.members
    before = gather(buffer, slots)[0].reward
    buffer.weights = RewardWeights(success=0.0, process=0.0, force_penalty=0.0, grasp_penalty=1.0)
    after = gather(buffer, slots)[0]
    assert (before != 0).all() and (after.reward == 0).all() and (after.gripper_reward != 0).all()


@given(interleaved(), st.integers(2, 20), st.integers(0, 5), st.data())
def test_relabelling_reaches_every_step_wherever_it_is(
    records: list[StepRecord], capacity: int, max_staged: int, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(records)))
    buffer, reference = filled(records[:cut], capacity, max_staged=max_staged)
    for number, steps in reference.steps.items():
        values = np.arange(max(steps) + 1) * 10.0 + number
        assert buffer.relabel(f"episode-{number}", "process", values) == 1
        for i, record in steps.items():
            steps[i] = replace(record, rewards={**record.rewards, "process": values[i]})
    for record in records[cut:]:
        assert buffer.add(record) == reference.add(record)
    check_everything(buffer, reference)


def test_relabelling_counts_versions_and_checks_its_arguments() -> None:
    buffer, _ = filled(episode(0, 3))
    assert buffer.reward_version("episode-0") == 0
    assert [buffer.relabel("episode-0", "process", [1, 2, 3]) for _ in range(2)] == [1, 2]
    assert buffer.reward_version("episode-0") == 2
    for arguments, says in (
        (("episode-1", "process", [1]), "unknown episode"),
        (("episode-0", "proces", [1, 2, 3]), "did you mean 'process'"),
        (("episode-0", "process", [1, 2]), "each of the 3 steps"),
    ):
        with pytest.raises(DataError, match=says):
            buffer.relabel(*arguments)
    assert buffer.reward_version("episode-0") == 2


def test_demonstrations_are_never_overwritten() -> None:
    demos = [episode(n, 4, source=Source.SCRIPTED) for n in range(3)]
    buffer, _ = filled([], capacity=8, pinned=15)
    assert buffer.add_demos(demos) == 12 and buffer.add_demos(demos) == 0
    for number in range(3, 30):
        for record in episode(number, 3):
            buffer.add(record)
    states = gather(buffer, buffer.demo.members)[0].state
    assert {identity(s) for s in states} == {(n, i) for n in range(3) for i in range(4)}
    assert buffer.counters.duplicates == 12 and buffer.counters.overwritten > 0
    with pytest.raises(DataError, match="15 frames are pinned, 0 are free; .*larger `pinned`"):
        buffer.add(episode(40, 1)[0], demo=True)
    assert buffer.counters.episodes == 30


def test_interleaved_demonstrations_share_the_room() -> None:
    buffer, _ = filled([], pinned=6)
    first, second = episode(0, 2, source=Source.DEMO), episode(1, 3, source=Source.DEMO)
    for record in (first[0], second[0], first[1], second[1]):
        buffer.add(record)
    with pytest.raises(DataError, match="no room"):
        buffer.add(second[2])
    assert {identity(s) for s in gather(buffer, buffer.demo.members)[0].state} == {(0, 0), (0, 1)}


def test_an_actor_that_died_does_not_hold_the_others_back() -> None:
    buffer, reference = filled(episode(0, 4, ended=False), max_staged=6)
    for number in (1, 2, 3):
        for record in episode(number, 3):
            buffer.add(record)
            reference.add(record)
    drawable = check_everything(buffer, reference)
    assert {(1, 0), (2, 0)} <= set(drawable)
    buffer.abandon("episode-0")
    assert set(check_everything(buffer, reference)) == reference.known()
    assert not buffer.add(episode(0, 6)[4])


def test_a_record_that_does_not_fit_changes_nothing() -> None:
    buffer, _ = filled(episode(0, 3, images=True), camera_shapes=CAMERAS)
    good = episode(1, 2, images=True)[0]
    small = replace(good.obs, state=good.obs.state[:2])
    blind = replace(good.obs, images={"side": good.obs.images["side"]})
    grey = replace(good.obs, images={**good.obs.images, "wrist": np.zeros((2, 2, 1), np.uint8)})
    for bad, says in (
        (replace(good, obs=small), r"state of shape \[2\], expected \[3\]"),
        (replace(good, obs=blind), "unknown camera 'wrist'"),
        (replace(good, obs=grey), r"'wrist' is uint8\[2, 2, 1\], expected uint8\[2, 2, 3\]"),
        (replace(good, rewards={"dense": 1.0}), "unknown reward component 'dense'"),
        (replace(good, obs=replace(good.obs, state=np.full(3, np.nan, np.float32))), "finite"),
        (replace(good, truncated=True), "final_obs"),
    ):
        with pytest.raises(DataError, match=says):
            buffer.add(bad)
    assert buffer.counters.added == 3 and len(buffer) == 3
    assert buffer.add(good)


@pytest.mark.parametrize("options", [{"capacity": 1}, {"pinned": -1}, {"n_step": 0}, {"gamma": 1.1}])
def test_sizes_out_of_range_are_refused(options: dict) -> None:
    with pytest.raises(DataError, match="expected capacity >= 2"):
        ReplayBuffer(SPEC, **{"capacity": 10, **options})


def test_images_cost_what_they_weigh() -> None:
    cameras = {"wrist": (128, 128, 3), "side": (128, 128, 3)}
    buffer = ReplayBuffer(SPEC, 10, camera_shapes=cameras, pinned=0)
    assert sum(images[0].nbytes for images in buffer._store.images.values()) == 98_304


def test_memory_that_cannot_be_had_is_one_sentence() -> None:
    with pytest.raises(DataError, match="needs .* GiB of memory"):
        ReplayBuffer(SPEC, 2**45)


def discarded(number: int, steps: int, **options: object) -> list[StepRecord]:
    """An episode that its operator discards with its last step."""
    *records, last = episode(number, steps, **options)  # type: ignore[arg-type]
    return [*records, replace(last, stop_reason=DISCARDED)]


@given(interleaved(), st.integers(2, 30), st.integers(1, 3), st.integers(0, 8), st.sets(st.integers(0, 4)))
def test_a_discarded_episode_is_never_drawn_again(
    records: list[StepRecord], capacity: int, n_step: int, max_staged: int, unwanted: set[int]
) -> None:
    """Whoever shares the buffer with it, wherever its steps are, and whether it is a demonstration or not."""
    buffer, reference = filled([], capacity, n_step=n_step, max_staged=max_staged)
    gone: set[int] = set()
    for record in records:
        number = number_of(record)
        if record.last and number in unwanted:
            record = replace(record, stop_reason=DISCARDED)
            gone.add(number)
        assert buffer.add(record) == reference.add(record)
        drawable = check_everything(buffer, reference)
        assert not {n for n, _ in drawable} & gone
    assert buffer.counters.discarded == len(gone)


def test_discarding_takes_corrections_and_demonstrations_out_too() -> None:
    buffer, _ = filled(discarded(0, 5, interventions=[1, 2]), n_step=2)
    for record in discarded(1, 4, source=Source.DEMO):
        buffer.add(record)
    assert len(buffer) == len(buffer.online) == len(buffer.demo) == 0
    assert buffer.counters.discarded == 2 and buffer.counters.added == 9
    assert not buffer.add(discarded(0, 5)[4])
    assert buffer.add(episode(2, 1)[0]) and len(buffer) == 1


def test_corrections_may_be_left_out_of_the_demonstration_share() -> None:
    buffer, _ = filled(episode(0, 6, interventions=[2, 3]), corrections_in_demos=False)
    assert len(buffer.demo) == 0 and len(buffer.online) == 6


@given(interleaved(), st.integers(2, 30), st.integers(0, 8))
def test_recency_changes_how_often_and_not_what_is_drawn(
    records: list[StepRecord], capacity: int, max_staged: int
) -> None:
    uniform, reference = filled(records, capacity, max_staged=max_staged)
    recent, _ = filled(records, capacity, max_staged=max_staged, half_life_steps=3.0)
    check_everything(recent, reference)
    assert (recent.online.members == uniform.online.members).all()
    assert (recent.demo.members == uniform.demo.members).all()
    if len(recent.online):
        assert set(recent.online.draw(50, np.random.default_rng(0))) <= set(recent.online.members)
