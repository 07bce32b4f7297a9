"""Keys: secrets nobody else can read, actors known by name, strangers unknown."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import zmq

from robot_rl.core.errors import ConfigError
from robot_rl.runtime.transport.keys import create_keys, load_actor_keys, load_learner_keys


def test_a_learner_knows_the_actors_it_made_keys_for(tmp_path: Path) -> None:
    a1, a2 = create_keys(tmp_path / "keys", ("a1", "a2"))
    learner = load_learner_keys(tmp_path / "keys")
    first, second = load_actor_keys(a1), load_actor_keys(a2)
    assert (first.name, second.name) == ("a1", "a2")
    assert learner.name_of(first.public) == "a1" and learner.name_of(second.public) == "a2"
    assert learner.name_of(zmq.curve_keypair()[0]) is None
    assert first.learner == learner.public == zmq.curve_public(learner.secret)
    assert not {first.secret, second.secret, learner.secret} & {first.public, second.public, learner.public}


def test_secrets_are_readable_by_their_owner_only_and_not_used_otherwise(tmp_path: Path) -> None:
    (a1,) = create_keys(tmp_path, ("a1",))
    secrets = sorted(tmp_path.rglob("*.key_secret"))
    assert len(secrets) == 2
    assert {stat.S_IMODE(p.stat().st_mode) for p in secrets} == {0o600}
    for path in secrets:
        path.chmod(0o640)
    with pytest.raises(ConfigError, match="can be read by others and is not used: run `chmod 600"):
        load_actor_keys(a1)
    with pytest.raises(ConfigError, match="can be read by others"):
        load_learner_keys(tmp_path)


def test_a_secret_is_not_shown(tmp_path: Path) -> None:
    (a1,) = create_keys(tmp_path, ("a1",))
    assert load_actor_keys(a1).secret.decode() not in repr(load_actor_keys(a1))
    assert load_learner_keys(tmp_path).secret.decode() not in repr(load_learner_keys(tmp_path))


def test_actors_may_be_added_and_shut_out_while_the_learner_runs(tmp_path: Path) -> None:
    create_keys(tmp_path)
    learner = load_learner_keys(tmp_path)
    (a1,) = create_keys(tmp_path, ("a1",))
    key = load_actor_keys(a1).public
    assert load_learner_keys(tmp_path) == learner, "the learner's pair stays"
    assert learner.name_of(key) == "a1"
    (tmp_path / "authorized" / "broken.key").write_text("nonsense")
    assert learner.name_of(key) == "a1"
    (tmp_path / "authorized" / "a1.key").unlink()
    assert learner.name_of(key) is None


def test_keys_are_not_replaced(tmp_path: Path) -> None:
    create_keys(tmp_path, ("a1",))
    with pytest.raises(ConfigError, match="has keys in .* already"):
        create_keys(tmp_path, ("a1",))
    with pytest.raises(ConfigError, match="already"):
        create_keys(tmp_path, ("a2", "a2"))


@pytest.mark.parametrize("name", ["", "../x", "a b", "learner", "x" * 65])
def test_names_that_cannot_be_used(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be called"):
        create_keys(tmp_path, (name,))


def test_each_missing_or_damaged_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"learner.key_secret: No such file .*robot-rl keys create"):
        load_learner_keys(tmp_path)
    with pytest.raises(ConfigError, match="is no actor's folder of keys"):
        load_actor_keys(tmp_path)
    (a1,) = create_keys(tmp_path / "keys", ("a1",))
    with pytest.raises(ConfigError, match="is no actor's folder of keys"):
        load_actor_keys(tmp_path / "keys")
    (a1 / "learner.key").write_text("too short\n")
    with pytest.raises(ConfigError, match="does not hold a key"):
        load_actor_keys(a1)
    (a1 / "learner.key").write_bytes(b"\xff" * 40)
    with pytest.raises(ConfigError, match="does not hold a key"):
        load_actor_keys(a1)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write keys"):
        create_keys(tmp_path / "file" / "keys")
