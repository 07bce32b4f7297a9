"""Operators meet an actor over a real socket: one is in charge, a lost one holds the arm, nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import pytest
import zmq

from robot_rl.core.errors import ConfigError, DeviceError, StorageError
from robot_rl.core.marks import END, PAUSE, SUCCESS
from robot_rl.core.types import TeleopState
from robot_rl.runtime.attend import link as link_module
from robot_rl.runtime.attend.link import OperatorLink, WatchLink, attend
from robot_rl.runtime.attend.messages import ActorStatus
from robot_rl.runtime.attend.place import find_actor, meeting_folder, socket_of
from robot_rl.runtime.attend.post import FREE_AFTER_S, MAX_GUESTS, OperatorPost
from robot_rl.runtime.attend.seat import Attended
from robot_rl.runtime.attend.view import View

PICTURE = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
PUSH = TeleopState(engaged=True, twist_tcp=np.array([0.5, 0.0, 0.0, 0.0, 0.0, 0.0]))


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def post(clock: Clock) -> Iterator[OperatorPost]:
    with closing(OperatorPost(socket_of("run", "a0"), now_s=clock)) as made:
        yield made


@pytest.fixture
def join() -> Iterator[Callable[[str], OperatorLink]]:
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(closing(OperatorLink(find_actor("run"), name)))


def until(read: Callable[[], object], wanted: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 20.0
    while not wanted():
        assert time.monotonic() < end_s, "it did not happen"
        read()
        time.sleep(0.002)


def heard(post: OperatorPost, link: OperatorLink, state: TeleopState) -> TeleopState:
    """Send a state until the actor has it."""
    got = [TeleopState()]

    def turn() -> None:
        link.send(state)
        got[0] = post.read()
        post.tell(ActorStatus())

    until(turn, lambda: got[0].engaged == state.engaged and np.array_equal(got[0].twist_tcp, state.twist_tcp))
    return got[0]


def test_the_device_of_an_operator_arrives(post: OperatorPost, join: Callable[[str], OperatorLink]) -> None:
    assert post.read().age_s == float("inf") and post.operator == ""
    state = heard(post, join("kim"), PUSH)
    assert state.engaged and post.operator == "kim"


def test_its_age_grows_while_nothing_comes(
    post: OperatorPost, clock: Clock, join: Callable[[str], OperatorLink]
) -> None:
    heard(post, join("kim"), PUSH)
    time.sleep(0.1)  # in which what is under way arrives
    post.read()
    clock.now_s += 1.5
    assert post.read().age_s >= 1.5


def test_a_tap_between_two_reads_counts_once(post: OperatorPost, join: Callable[[str], OperatorLink]) -> None:
    link = join("kim")
    heard(post, link, PUSH)
    link.send(TeleopState(buttons=frozenset({SUCCESS})))
    link.send(TeleopState())
    seen: list[frozenset[str]] = []
    until(lambda: seen.append(post.read().buttons), lambda: len(seen) > 20)
    assert sum(SUCCESS in buttons for buttons in seen) == 1


def test_the_second_operator_waits_until_the_first_leaves(
    post: OperatorPost, join: Callable[[str], OperatorLink]
) -> None:
    first, second = join("kim"), join("lee")
    heard(post, first, TeleopState(twist_tcp=np.full(6, 0.1)))

    def turn() -> None:
        first.send(TeleopState())
        second.send(PUSH)
        assert not post.read().engaged
        post.tell(ActorStatus())

    until(turn, lambda: first.in_charge and second.status.operator == "kim")
    first.close()
    heard(post, second, PUSH)
    until(lambda: (second.send(PUSH), post.read(), post.tell(ActorStatus())), lambda: second.in_charge)


def test_a_guest_who_watches_sees_everything_and_takes_no_chair(
    post: OperatorPost, clock: Clock, join: Callable[[str], OperatorLink]
) -> None:
    view = View("r-a0-000001", 4, *(np.full(7, 0.5),) * 3, np.zeros(6), 0.02, np.zeros(7), images={"w": PICTURE})
    with ExitStack() as stack:
        name = find_actor("run")
        blind = stack.enter_context(closing(WatchLink(name, "blind", pictures=False)))
        seeing = stack.enter_context(closing(WatchLink(name, "seeing")))
        got: dict[str, View] = {}
        told: list[ActorStatus] = []

        def turn() -> None:
            assert not post.read().engaged
            post.tell(ActorStatus(prompt="Put it back."))
            post.show(view)
            for who, link in (("blind", blind), ("seeing", seeing)):
                status, seen = link.receive(0.01)
                told.extend([status] if status is not None else [])
                got.update({who: seen} if seen is not None else {})

        until(turn, lambda: len(got) == 2 and bool(told))
        assert post.operator == "" and post.watched and told[-1].prompt == "Put it back."
        np.testing.assert_array_equal(got["seeing"].images["w"], PICTURE)
        assert not got["blind"].images and got["blind"].step_index == 4
        heard(post, join("kim"), PUSH)
        assert post.operator == "kim"
    until(post.read, lambda: not post.watched)


def test_a_silent_operator_who_holds_nothing_is_forgotten(
    post: OperatorPost, clock: Clock, join: Callable[[str], OperatorLink]
) -> None:
    heard(post, join("kim"), TeleopState(twist_tcp=np.full(6, 0.1)))
    time.sleep(0.1)
    post.read()
    clock.now_s += FREE_AFTER_S + 0.1
    assert post.read().age_s == float("inf") and post.operator == ""


def test_one_who_vanishes_in_a_take_over_holds_the_arm_until_a_successor_comes(
    post: OperatorPost, clock: Clock, join: Callable[[str], OperatorLink]
) -> None:
    heard(post, join("kim"), PUSH)
    time.sleep(0.1)
    post.read()
    clock.now_s += 3600.0
    state = post.read()
    assert state.engaged and state.age_s >= 3600.0 and post.operator == "kim"
    heard(post, join("lee"), TeleopState(twist_tcp=np.full(6, 0.1)))
    assert post.operator == "lee"


def test_strangers_and_crowds_do_no_harm(post: OperatorPost, join: Callable[[str], OperatorLink]) -> None:
    context = zmq.Context()
    with closing(context.socket(zmq.DEALER)) as stranger:
        stranger.setsockopt(zmq.LINGER, 0)
        stranger.connect(f"ipc://{socket_of('run', 'a0')}")
        for parts in ([b""], [b"x", b"y"], [b"\xff" * 1000]):
            stranger.send_multipart(parts)
        heard(post, join("kim"), PUSH)
        for k in range(MAX_GUESTS + 3):
            join(f"guest{k}").send(PUSH)
        until(post.read, lambda: len(post._guests) == MAX_GUESTS)
        assert post.operator == "kim"
    context.term()


def test_an_actor_that_is_gone_ends_the_session(
    post: OperatorPost, join: Callable[[str], OperatorLink], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "SILENT_S", 0.1)
    link = join("kim")
    post.close()
    with pytest.raises(DeviceError, match="has the run ended"):
        attend(link, TeleopState, lambda status: None, lambda: False)


def test_an_operator_ends_the_session(post: OperatorPost, join: Callable[[str], OperatorLink]) -> None:
    turns = list[ActorStatus]()
    attend(join("kim"), lambda: TeleopState(), turns.append, lambda: len(turns) >= 3)
    assert len(turns) == 3


def test_actors_are_found_by_run_and_name(post: OperatorPost, clock: Clock) -> None:
    assert find_actor("") == find_actor("run") == find_actor("run", "a0") == socket_of("run", "a0")
    with pytest.raises(ConfigError, match=r"any actor of other does not run here; there is a0 of run"):
        find_actor("other")
    with closing(OperatorPost(socket_of("run", "a1"), now_s=clock)):
        with pytest.raises(ConfigError, match="2 of them run here"):
            find_actor("run")
        assert find_actor("run", "a1").name == "run+a1.sock"
    assert find_actor("run") == socket_of("run", "a0")


def test_the_folder_is_closed_to_others(tmp_path: Path) -> None:
    folder = meeting_folder()
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o755)
    with pytest.raises(StorageError, match="open to others"):
        meeting_folder()


def test_an_actor_that_cannot_be_attended_acts_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / ("x" * 90)))
    with closing(Attended("run", "a0")) as attended:
        assert "too long" in attended.problem
        attended.tell(ActorStatus())
        assert not attended.helped_by(None)(np.random.default_rng(0)).read().engaged


class Corrector:
    def __init__(self) -> None:
        self.reads = 0

    def read(self) -> TeleopState:
        self.reads += 1
        return TeleopState(engaged=True, twist_tcp=np.full(6, -0.3), stand_in=True)

    def close(self) -> None:
        pass


def test_a_person_and_a_stand_in_share_the_arm(join: Callable[[str], OperatorLink]) -> None:
    with closing(Attended("run", "a0")) as attended:
        teleop = attended.helped_by(lambda rng: Corrector())(np.random.default_rng(0))
        assert teleop.read().stand_in
        link = join("kim")
        pressed = list[frozenset[str]]()

        def turn() -> None:
            link.send(TeleopState(buttons=frozenset({PAUSE})))
            pressed.append(teleop.read().buttons)
            attended.tell(ActorStatus())

        until(turn, lambda: PAUSE in pressed[-1] if pressed else False)
        teleop.close()
        until(lambda: (link.send(TeleopState()), attended.read(), attended.tell(ActorStatus())), lambda: link.in_charge)
    assert END not in pressed[-1]


def test_an_actor_of_two_runs_is_met_by_either_and_has_one_chair(join: Callable[[str], OperatorLink]) -> None:
    with closing(Attended("run", "a0", "other")) as attended:
        assert [find_actor(run).is_socket() for run in ("run", "other")] == [True, True]
        kim = join("kim")
        until(lambda: (kim.send(PUSH), attended.read(), attended.tell(ActorStatus())), lambda: kim.in_charge)
        with closing(OperatorLink(find_actor("other"), "lee")) as lee:
            until(
                lambda: (lee.send(PUSH), kim.send(PUSH), attended.read(), attended.tell(ActorStatus())),
                lambda: lee.status.operator == "kim",
            )
            assert kim.in_charge and not lee.in_charge
    assert not socket_of("other", "a0").exists()
