"""Data comes out of a pickle as it went in; nothing else comes out, and nothing runs."""

from __future__ import annotations

import codecs
import functools
import operator
import os
import pickletools
import struct
import tempfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_rl.core.errors import DataError
from robot_rl.data.exchange.restricted_pickle import load_plain
from tests.data.exchange.pickles import HIGHEST, load_unsafely, write_pickle

CANARY = "canary"


class Calls:
    """Pickles as a call, which is how every attack begins."""

    def __init__(self, function: Callable[..., Any], *arguments: Any, state: Any = None) -> None:
        self.parts = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> Any:
        return self.parts


def equal(a: Any, b: Any) -> bool:
    """Equal in type, shape and value all the way down."""
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))
    return type(a) is type(b) and a == b


DATA: list[Any] = [
    {"state": np.arange(6, dtype=np.float32).reshape(1, 6), "image": np.zeros((1, 4, 5, 3), np.uint8)},
    [np.float32(1.5), np.bool_(True), np.int64(-3), 2**40, -(2**70), 1.25, True, None, "text", b"bytes"],
    [np.asfortranarray(np.arange(12.0).reshape(3, 4)), np.arange(6, dtype=">i4"), np.zeros((0, 3)), np.array(7)],
    np.arange(24).reshape(2, 3, 4).transpose(2, 0, 1),
    (1, (2, (3, ())), [[], {}], {"a": {"b": [1, 2]}}),
    {1, 2, 3},
    frozenset({"x"}),
    "ä" * 70000,
]


@pytest.mark.parametrize("protocol", [3, 4, HIGHEST])
@pytest.mark.parametrize("value", DATA, ids=range(len(DATA)))
def test_data_comes_back(tmp_path: Path, value: Any, protocol: int) -> None:
    assert equal(load_plain(write_pickle(tmp_path / "x.pkl", value, protocol)), value)


def test_an_ordered_dictionary_becomes_a_plain_one(tmp_path: Path) -> None:
    value = OrderedDict(a=np.ones(2), b=1)
    assert equal(load_plain(write_pickle(tmp_path / "x.pkl", value)), dict(value))


def test_shared_values_stay_shared(tmp_path: Path) -> None:
    obs = {"state": np.arange(3.0)}
    loaded = load_plain(write_pickle(tmp_path / "x.pkl", [obs, obs]))
    assert loaded[0] is loaded[1]


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        | st.lists(st.integers(-9, 9), max_size=5).map(np.array)
    ),
    max_leaves=12,
)


@given(plain, st.sampled_from([3, 4, HIGHEST]))
def test_any_plain_data_comes_back(value: Any, protocol: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert equal(load_plain(write_pickle(Path(folder) / "x.pkl", value, protocol)), value)


JAX_NAMES = (
    ("jax._src.array", "_reconstruct_array"),
    ("jax.experimental.array", "_reconstruct_array"),
    ("jax._src.device_array", "reconstruct_device_array"),
)


@pytest.mark.parametrize("protocol", [2, 3, 4, HIGHEST])
def test_arrays_of_jax_become_arrays_of_numpy(tmp_path: Path, protocol: int) -> None:
    jnp = pytest.importorskip("jax.numpy")
    frozen = pytest.importorskip("flax.core").FrozenDict
    kernel = np.random.default_rng(0).standard_normal((3, 3, 2, 4)).astype(np.float32)
    arrays: dict[str, Any] = {
        "a": {"bias": np.zeros(4, np.float32), "kernel": kernel},
        "i": np.arange(3, dtype=np.int32),
    }
    tree = {"a": {name: jnp.asarray(x) for name, x in arrays["a"].items()}, "i": jnp.arange(3), "n": jnp.float32(2.5)}
    expected = arrays | {"n": np.array(2.5, np.float32)}
    loaded = load_plain(write_pickle(tmp_path / "x.pkl", {"dict": tree, "frozen": frozen(tree)}, protocol))
    assert equal(loaded, {"dict": expected, "frozen": expected})


@pytest.mark.parametrize("spelling", JAX_NAMES)
def test_what_older_versions_of_jax_called_it_is_known(tmp_path: Path, spelling: tuple[str, str]) -> None:
    jnp = pytest.importorskip("jax.numpy")
    file = write_pickle(tmp_path / "x.pkl", [jnp.arange(4.0)], 3)
    now, then = ("c{}\n{}\n".format(*names).encode() for names in (JAX_NAMES[0], spelling))
    assert now in file.read_bytes()
    file.write_bytes(file.read_bytes().replace(now, then))
    assert equal(load_plain(file), [np.arange(4, dtype=np.float32)])


@pytest.mark.parametrize("protocol", [2, 4, HIGHEST])
def test_jax_is_not_asked_to_call_anything(tmp_path: Path, protocol: int) -> None:
    """What JAX restores an array with calls whatever the pickle names; the standard machine does."""
    restore = pytest.importorskip("jax._src.array")._reconstruct_array
    canary = tmp_path / CANARY
    file = write_pickle(tmp_path / "x.pkl", Calls(restore, os.system, (f"touch {canary}",), None, {}), protocol)
    with pytest.raises(DataError, match="nothing in it was executed"):
        load_plain(file)
    assert not canary.exists()
    with pytest.raises(AttributeError, match="__setstate__"):
        load_unsafely(file.read_bytes())
    assert canary.exists()


@pytest.mark.parametrize(
    "value",
    [
        Calls(codecs.encode, "import os", "rot13"),
        Calls(codecs.encode, b"x", "hex_codec"),
        Calls(codecs.encode, "\u0100", "latin1"),
    ],
)
def test_bytes_of_protocol_2_are_the_only_thing_that_is_encoded(tmp_path: Path, value: Any) -> None:
    with pytest.raises(DataError, match=r"encodes something else|no readable pickle"):
        load_plain(write_pickle(tmp_path / "x.pkl", value))


def gadgets(canary: str) -> dict[str, Any]:
    """Pickles that touch the file `canary`, or reach for what could, on the standard machine."""
    touch = f"open({canary!r}, 'w').close()"
    return {
        "os.system": Calls(os.system, f"touch {canary}"),
        "eval": Calls(eval, f"open({canary!r}, 'w').close()"),
        "exec": Calls(exec, touch),
        "open": Calls(open, canary, "w"),
        "getattr chain": Calls(getattr, Calls(__import__, "os"), "system"),
        "partial": Calls(functools.partial(open, canary, "w")),
        "partial state": Calls(functools.partial, open, canary, state=(open, (canary, "w"), {}, None)),
        "methodcaller": Calls(operator.methodcaller("write_text", ""), Path(canary)),
        "attrgetter": Calls(operator.attrgetter("system"), Calls(__import__, "os")),
        "numpy.load": Calls(np.load, canary),
        "numpy.fromfile": Calls(np.fromfile, canary),
        "numpy.save": Calls(np.save, canary, np.zeros(1)),
        "numpy.memmap": Calls(np.memmap, canary, "u1", "w+", 0, (1,)),
        "numpy.vectorize": Calls(np.vectorize, eval),
        "numpy.ndarray": Calls(np.ndarray, (2, 2)),
        "numpy.zeros": Calls(np.zeros, 10**15),
        "object array": np.array([{"a": 1}, None], object),
        "text array": np.array(["a", "b"]),
        "structured array": np.zeros(2, [("a", "f4"), ("b", "O")]),
        "date": np.array(["2020-01-01"], "M8[D]"),
        "path": Path(canary),
        "class": os.PathLike,
        "function in data": {"observations": os.system},
        "inside a list": [1, 2, {"a": (Calls(os.system, f"touch {canary}"),)}],
        "as a key": {Calls(os.getcwd): 1},
    }


@pytest.mark.parametrize("protocol", [2, 4, HIGHEST])
@pytest.mark.parametrize("name", gadgets("").keys())
def test_a_gadget_is_one_sentence(tmp_path: Path, name: str, protocol: int, capfd: pytest.CaptureFixture[str]) -> None:
    canary = tmp_path / CANARY
    file = write_pickle(tmp_path / "x.pkl", gadgets(str(canary))[name], protocol)
    with pytest.raises(DataError, match=r"nothing in it was executed|no readable pickle") as caught:
        load_plain(file)
    assert not canary.exists()
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_the_gadgets_are_real(tmp_path: Path) -> None:
    """The same bytes do act on the standard machine, so the tests above can fail."""
    canary = tmp_path / CANARY
    for name in ("os.system", "eval", "exec"):
        load_unsafely(write_pickle(tmp_path / "x.pkl", gadgets(str(canary))[name]).read_bytes())
        assert canary.exists(), name
        canary.unlink()


def text(value: str) -> bytes:
    return b"\x8c" + bytes([len(value)]) + value.encode()


def name(module: str, attribute: str) -> bytes:
    return text(module) + text(attribute) + b"\x93"


START = b"\x80\x04"
DTYPE = name("numpy", "dtype") + text("f4") + b"\x85R"
EMPTY_ARRAY = (
    name("numpy.core.multiarray", "_reconstruct") + b"(" + name("numpy", "ndarray") + b"K\x00\x85" + b"C\x01b" + b"tR"
)
HAND_MADE: dict[str, tuple[bytes, str]] = {
    "array of jax made by another stand-in": (
        name("jax._src.array", "_reconstruct_array") + b"(" + name("numpy", "dtype") + text("f4") + b"\x85N}tR.",
        "not made of one of numpy",
    ),
    "array of jax without an array": (
        name("jax._src.array", "_reconstruct_array") + b"(NN)}tR.",
        "not made of one of numpy",
    ),
    "array of jax of bytes that are too few": (
        name("jax._src.array", "_reconstruct_array")
        + b"("
        + name("numpy.core.multiarray", "_reconstruct")
        + b"("
        + name("numpy", "ndarray")
        + b"K\x00\x85C\x01bt(K\x01K\x09\x85"
        + DTYPE
        + b"\x89C\x04abcdt}tR.",
        "no readable pickle",
    ),
    "dotted name": (name("numpy", "ndarray.__setstate__") + b".", "asks for"),
    "module of ours": (name("robot_rl.data.exchange.restricted_pickle", "_NAMES") + b".", "asks for"),
    "submodule": (name("numpy.core.multiarray", "fromfile") + b".", "asks for"),
    "builtins by the new name of numpy": (
        name("numpy._core.multiarray", "_reconstruct.__globals__") + b".",
        "asks for",
    ),
    "attributes of a stand-in": (name("numpy", "dtype") + b"}" + text("__defaults__") + b"Nsb.", "has not made"),
    "attributes through the memo": (
        name("numpy", "dtype") + b"\x940h\x00N}" + text("__defaults__") + b"Ns\x86b.",
        "has not made",
    ),
    "items of a stand-in": (name("numpy", "dtype") + text("a") + b"Ns.", "into a name"),
    "call of data": (b"}" + b")R.", "not a name"),
    "call of an array": (EMPTY_ARRAY + b")R.", "not a name"),
    "unfinished array": (EMPTY_ARRAY + b".", "unfinished array"),
    "stand-in as data": (name("numpy", "dtype") + b".", "where data belongs"),
    "number format as data": (DTYPE + b".", "where data belongs"),
    "object instruction": (b"(" + name("os", "system") + text("x") + b"o.", "instruction OBJ"),
    "instance instruction": (b"(" + text("x") + b"ios\nsystem\n.", "instruction INST"),
    "new object": (name("os", "system") + b")\x81.", "instruction NEWOBJ"),
    "new object with names": (name("os", "system") + b")}\x92.", "instruction NEWOBJ_EX"),
    "extension registry": (b"\x82\x01.", "instruction EXT1"),
    "persistent id": (b"Pid\n.", "instruction PERSID"),
    "buffer from outside": (b"\x97.", "instruction NEXT_BUFFER"),
    "huge memo": (b"Nr\xff\xff\xff\xff.", "out of order"),
    "memo not written": (b"h\x05.", "no readable pickle"),
    "mark for a value": (b"(b.", "nothing in it was executed"),
    "mark into the memo": (b"(\x94.", "mark"),
    "values that are not there": (b"R.", "not there"),
    "nested too deep": (b")" + b"\x85" * 100_000 + b".", "nested more than 64"),
    "key nested too deep": (b"})" + b"\x85" * 100_000 + b"Ns.", "nested more than 64"),
    "contains itself": (b"]\x94h\x00a.", "contains itself"),
    "no end": (b"]", "no readable pickle"),
    "long text that is not there": (b"\x8d" + struct.pack("<Q", 2**60) + b".", "no readable pickle"),
    "long bytes that are not there": (b"\x8e" + struct.pack("<Q", 2**60) + b".", "no readable pickle"),
    "array larger than its bytes": (
        EMPTY_ARRAY + b"(K\x01J\xff\xff\xff\x7f\x85" + DTYPE + b"\x89C\x04abcdtb.",
        "no readable pickle",
    ),
    "array finished twice": (
        EMPTY_ARRAY + (b"(K\x01K\x01\x85" + DTYPE + b"\x89C\x04abcdtb") * 2 + b".",
        "is finished",
    ),
    "dtype with a bogus size": (
        EMPTY_ARRAY + b"(K\x01K\x01\x85" + DTYPE + b"(K\x03" + text("<") + b"NNNM\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89C\x08abcdefghtb.",
        "no readable pickle",
    ),
    "dtype with fields": (
        DTYPE + b"(K\x03" + text("|") + b"N" + text("a") + b"\x85}K\x08K\x01K\x10tb.",
        "something else than numbers",
    ),
    "dtype by a large name": (name("numpy", "dtype") + text("V99999999") + b"\x85R.", "expected numbers"),
}


@pytest.mark.parametrize("case", HAND_MADE)
def test_a_hand_made_program_is_one_sentence(tmp_path: Path, case: str) -> None:
    program, says = HAND_MADE[case]
    file = tmp_path / "x.pkl"
    file.write_bytes(START + program)
    with pytest.raises(DataError, match=says) as caught:
        load_plain(file)
    assert "\n" not in str(caught.value)


def test_a_hand_made_array_is_read(tmp_path: Path) -> None:
    """The building blocks above are sound where they are not bent."""
    file = tmp_path / "x.pkl"
    file.write_bytes(
        START + EMPTY_ARRAY + b"(K\x01K\x02\x85" + DTYPE + b"\x89C\x08" + struct.pack("<2f", 1, 2) + b"tb."
    )
    assert load_plain(file).tolist() == [1.0, 2.0]


def test_many_references_to_one_value_stay_small(tmp_path: Path) -> None:
    """Fifty doublings are 2^50 values to whoever copies each of them."""
    program = b"]\x94" + b"".join(b"](h" + bytes([i]) + b"h" + bytes([i]) + b"e\x94" for i in range(50))
    file = tmp_path / "x.pkl"
    file.write_bytes(START + program + b".")
    assert len(load_plain(file)) == 2


@given(st.data())
def test_damaged_files_never_do_worse_than_a_sentence(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = write_pickle(Path(folder) / "x.pkl", [{"a": np.arange(3.0), "b": (1, "x")}, np.float32(2)])
        content = bytearray(file.read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(2, len(content) - 1))] = data.draw(st.integers(0, 255))
        file.write_bytes(content[: data.draw(st.integers(1, len(content)))])
        try:
            load_plain(file)
        except DataError as e:
            assert "\n" not in str(e)


@given(st.lists(st.sampled_from(pickletools.opcodes), max_size=12), st.binary(max_size=12))
def test_random_programs_never_do_worse_than_a_sentence(opcodes: list[Any], tail: bytes) -> None:
    program = b"".join(o.code.encode("latin-1") + tail[i : i + 1] for i, o in enumerate(opcodes))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "x.pkl"
        file.write_bytes(START + name("numpy", "dtype") + text("f4") + b"\x85" + program + b".")
        try:
            load_plain(file)
        except DataError as e:
            assert "\n" not in str(e)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read"):
        load_plain(tmp_path / "absent.pkl")
    with pytest.raises(DataError, match="cannot read"):
        load_plain(tmp_path)
    (tmp_path / "empty.pkl").write_bytes(b"")
    with pytest.raises(DataError, match="0 bytes"):
        load_plain(tmp_path / "empty.pkl")
