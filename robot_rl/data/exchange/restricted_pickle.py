"""Reading a pickle as data: numbers, text, plain containers and arrays of numpy or JAX, and nothing that could act.

This is the one module of the package that names pickle, because SERL and HIL-SERL keep their demonstrations, buffers
and pretrained weights in that format; nothing here writes one. A pickle is a program for a small machine, and three
walls stand around it:

1. The whole program is looked through before any of it runs: known instructions only, bounded nesting, and values may
   be set only on what a known constructor has made.
2. The machine gets no name of Python. The few names it may ask for are answered with functions of this module.
3. Those build plain values and fresh arrays from bytes; numpy's own restoring code is never given the state of an
   object, because it trusts that state.
"""

from __future__ import annotations

import mmap
import pickle
import pickletools
import re
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Final, cast

import numpy as np

from robot_rl.core.errors import DataError

MAX_BYTES = 8 * 2**30
MAX_NESTING = 64
_DTYPE = re.compile(r"[<>|=]?[biuf]\d{1,2}")
_PLAIN = {
    "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE",
    "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "EMPTY_LIST",
    "EMPTY_TUPLE", "EMPTY_DICT", "EMPTY_SET", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "LIST", "DICT", "FROZENSET",
}  # fmt: skip
_FILL = {"APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS"}
_PUT = {"BINPUT", "LONG_BINPUT", "MEMOIZE"}
_GET = {"BINGET", "LONG_BINGET"}
_NAME = {"GLOBAL", "STACK_GLOBAL"}
_OTHER = {"PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "DUP", "REDUCE", "BUILD"}
_KNOWN = _PLAIN | _FILL | _PUT | _GET | _NAME | _OTHER
PLAIN, NAMED, MADE, MARK = "plain", "named", "made", "mark"
_Item = tuple[str, int]  # what kind of value it is, and how deeply it is nested


def load_plain(path: Path) -> Any:
    """The content of a pickle of plain containers, numbers, text, bytes and numeric arrays of numpy and JAX.

    Args:
        path: of the file, pickle protocol 2 to 5.

    Returns:
        Its content; all arrays are numpy's, may be read-only, and share memory where the pickle says so.

    Raises:
        DataError: the file is absent, too large, damaged, or holds anything else; nothing of it has been executed.
    """
    try:
        with open(path, "rb") as file:
            size = path.stat().st_size
            if not 0 < size <= MAX_BYTES:
                raise DataError(f"{path} has {size} bytes, expected 1 to {MAX_BYTES}")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                _look_through(content)
                content.seek(0)
                return _plain(_Unpickler(content).load(), {}, 0)
    except OSError as e:
        raise DataError(f"cannot read {path}: {e.strerror}") from e
    except DataError as e:
        raise DataError(f"{path} was not loaded and nothing in it was executed: {e}") from e
    except Exception as e:  # a damaged program makes the machine fail in every way there is
        raise DataError(f"{path} is no readable pickle: {type(e).__name__} {e}") from e


def _look_through(content: mmap.mmap) -> None:
    """The first wall: follow what kind of value each instruction leaves, without making any."""
    stack: list[_Item] = []
    memo: list[_Item] = []
    for opcode, arg, _ in pickletools.genops(cast(IO[bytes], content)):
        name = opcode.name
        if name not in _KNOWN:
            raise DataError(f"it uses the instruction {name}, which plain data does not need")
        if name in _PUT or name == "DUP":
            _refuse_marks(stack[-1:])
        if name in _PUT:
            if name != "MEMOIZE" and arg != len(memo):
                raise DataError("it numbers its values out of order")
            memo.append(stack[-1])
        elif name in _GET:
            stack.append(memo[cast(int, arg)])
        elif name == "DUP":
            stack.append(stack[-1])
        elif name not in ("PROTO", "FRAME", "STOP"):
            taken = _take(stack, opcode)
            result = _result(name, taken)
            if result is not None:
                if result[1] > MAX_NESTING:
                    raise DataError(f"its values are nested more than {MAX_NESTING} deep")
                stack.append(result)


def _take(stack: list[_Item], opcode: Any) -> list[_Item]:
    """Remove what an instruction consumes."""
    needs = opcode.stack_before
    if pickletools.markobject in needs:
        mark = next(i for i in range(len(stack) - 1, -1, -1) if stack[i][0] == MARK)
        begin = mark - needs.index(pickletools.markobject)
        del stack[mark]
    else:
        begin = len(stack) - len(needs)
    if begin < 0:
        raise DataError("it takes values that are not there")
    taken = stack[begin:]
    if opcode.name != "POP":
        _refuse_marks(taken)
    del stack[begin:]
    return taken


def _refuse_marks(items: list[_Item]) -> None:
    if any(kind == MARK for kind, _ in items):
        raise DataError("it takes a mark for a value")


def _result(name: str, taken: list[_Item]) -> _Item | None:
    """What an instruction leaves on the stack, from what it took."""
    if name == "MARK":
        return MARK, 0
    if name in ("POP", "POP_MARK"):
        return None
    if name in _NAME:
        return NAMED, 0
    inside = max((depth for _, depth in taken[1:]), default=0)
    if name in _FILL:
        if taken[0][0] == NAMED:
            raise DataError("it puts values into a name")
        return taken[0][0], max(taken[0][1], inside + 1)
    if name == "REDUCE":
        if taken[0][0] != NAMED:
            raise DataError("it calls something that is not a name")
        return MADE, inside + 1
    if name == "BUILD":
        if taken[0][0] != MADE:
            raise DataError("it changes something that it has not made")
        return MADE, inside + 1
    return PLAIN, max((depth + 1 for _, depth in taken), default=0)


class _Unpickler(pickle.Unpickler):
    """The second wall."""

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in for a name, if it is one of the few."""
        # numpy 2 renamed numpy.core to numpy._core; both are in files
        known = _NAMES.get((module.replace("numpy._core", "numpy.core"), name))
        if known is None:
            raise DataError(f"it asks for {f'{module}.{name}'[:100]!r}, only arrays and plain containers are read")
        return known


class _Array:
    """An array or a single number in its place; the content of an empty one follows."""

    __slots__ = ("value",)

    def __init__(self, value: Any = None) -> None:
        self.value = value

    def __setstate__(self, state: Any) -> None:
        if self.value is not None:
            raise DataError("it changes an array that is finished")
        _version, shape, dtype, fortran, data = state
        self.value = _array(data, dtype, shape, "F" if fortran else "C")


class _DType:
    """A number format, whose byte order may follow."""

    __slots__ = ("value",)

    def __init__(self, value: np.dtype[Any]) -> None:
        self.value = value

    def __setstate__(self, state: Any) -> None:
        order = state[1]
        if order not in ("<", ">", "|", "=") or any(x is not None for x in state[2:5]):
            raise DataError("it holds an array of something else than numbers")
        self.value = self.value.newbyteorder(order)


def _dtype(spec: Any, align: Any = False, copy: Any = True) -> _DType:
    if not isinstance(spec, str) or not _DTYPE.fullmatch(spec):
        raise DataError(f"it holds an array of {str(spec)[:40]!r}, expected numbers")
    return _DType(np.dtype(spec))


def _array(data: Any, dtype: Any, shape: Any, order: Any) -> Any:
    if not isinstance(dtype, _DType) or not isinstance(data, bytes | bytearray) or order not in ("C", "F"):
        raise DataError("it holds an array that is not made of bytes")
    return np.frombuffer(data, dtype.value).reshape(shape, order=order)


def _reconstruct(kind: Any, shape: Any, typecode: Any) -> _Array:
    if kind is not _NDARRAY:
        raise DataError("it holds an array of an unknown class")
    return _Array()


def _from_buffer(data: Any, dtype: Any, shape: Any, order: Any, axes: Any = None) -> _Array:
    if order == "K":
        return _Array(_array(data, dtype, shape, "C").transpose(axes))
    return _Array(_array(data, dtype, shape, order))


def _scalar(dtype: Any, data: Any) -> _Array:
    return _Array(_array(data, dtype, (), "C")[()])


def _jax_array(kind: Any, made_from: Any, state: Any, aval: Any) -> _Array:
    """JAX writes how numpy would restore the array, and what it knows besides."""
    if kind is not _reconstruct or not isinstance(made_from, tuple):
        raise DataError("it holds an array of JAX that is not made of one of numpy")
    array: _Array = _reconstruct(*made_from)
    array.__setstate__(state)
    return array


def _encoded(text: Any, coding: Any) -> bytes:
    """Bytes, as protocol 2 writes them."""
    if not isinstance(text, str) or coding != "latin1":
        raise DataError("it encodes something else than bytes")
    return text.encode("latin1")


def _set(items: Any = ()) -> set[Any]:
    return set(items)


def _frozen_set(items: Any = ()) -> frozenset[Any]:
    return frozenset(items)


def _ordered(pairs: Any = ()) -> dict[Any, Any]:
    return dict(pairs)


_NDARRAY: Final = object()
_NAMES: dict[tuple[str, str], Callable[..., Any] | object] = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _dtype,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("jax._src.array", "_reconstruct_array"): _jax_array,
    ("jax.experimental.array", "_reconstruct_array"): _jax_array,
    ("jax._src.device_array", "reconstruct_device_array"): _jax_array,
    ("_codecs", "encode"): _encoded,
    ("collections", "OrderedDict"): _ordered,
    ("flax.core.frozen_dict", "FrozenDict"): _ordered,
    ("builtins", "set"): _set,
    ("builtins", "frozenset"): _frozen_set,
}


def _plain(value: Any, done: dict[int, Any], depth: int) -> Any:
    """The third wall: copies of the containers with arrays in the place of their stand-ins."""
    if value is None or isinstance(value, bool | int | float | str | bytes | bytearray | np.ndarray | np.generic):
        return value
    if isinstance(value, _Array) and value.value is not None:
        return value.value
    if id(value) in done:
        return done[id(value)]
    if depth > MAX_NESTING:
        raise DataError("it holds a value that contains itself")
    if isinstance(value, dict):
        out: Any = {_plain(k, done, depth + 1): _plain(v, done, depth + 1) for k, v in value.items()}
    elif isinstance(value, list | tuple | set | frozenset):
        out = type(value)(_plain(v, done, depth + 1) for v in value)
    else:
        raise DataError("it holds a name or an unfinished array where data belongs")
    done[id(value)] = out
    return out
