"""Frozen dataclasses as configuration: strict reading from plain data and YAML, merging, writing back.

Sources are merged in this order, later ones win: defaults of the dataclass, a named preset, a YAML file, flags.
A key that does not exist, a value of the wrong type and a number out of range are errors that say what was
allowed; nothing is converted silently except a whole number to a float.

Example:
    >>> from dataclasses import dataclass
    >>> from typing import Annotated
    >>> @dataclass(frozen=True)
    ... class Cell:
    ...     rate_hz: Annotated[float, Range(1.0, 1000.0)] = 10.0
    >>> from_dict(Cell, {"rate_hz": 20})
    Cell(rate_hz=20.0)
"""

from __future__ import annotations

import dataclasses
import math
import re
import reprlib
import types
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from robot_rl.core.errors import ConfigError, unknown_name

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Range:
    """Closed interval a number must lie in; put into ``Annotated[float, Range(0, 1)]``.

    Attributes:
        low: smallest value allowed.
        high: largest value allowed.
    """

    low: float = -math.inf
    high: float = math.inf

    def check(self, name: str, value: float) -> None:
        """Raise if the value is outside.

        Raises:
            ConfigError: with the name, the value and the interval.
        """
        if not self.low <= value <= self.high:
            raise ConfigError(f"{name} is {value}, expected {self}")

    def __str__(self) -> str:
        """``between 0 and 1``, or one-sided."""
        if math.isinf(self.high):
            return f"at least {self.low:g}"
        return f"at most {self.high:g}" if math.isinf(self.low) else f"between {self.low:g} and {self.high:g}"


def check_ranges(config: Any) -> None:
    """Check every field annotated with a `Range`; call it from ``__post_init__``.

    Raises:
        ConfigError: naming the first field that is out of range.
    """
    for name, hint in _hints(type(config)).items():
        for limit in (m for m in getattr(hint, "__metadata__", ()) if isinstance(m, Range)):
            value = getattr(config, name)
            if value is not None:
                limit.check(f"{type(config).__name__}.{name}", value)


def from_dict(cls: type[T], data: Any, where: str = "") -> T:
    """Build a configuration dataclass from plain data.

    Args:
        cls: the dataclass.
        data: a mapping with some or all of its fields; missing ones keep their default.
        where: dotted path of `data` in the file, for messages.

    Raises:
        ConfigError: unknown key (with the closest match), wrong type, missing value or out of range.
    """
    return _merge(cls, None, data, where)


def merge(config: T, overrides: Mapping[str, Any]) -> T:
    """A copy of `config` with nested `overrides` in plain data applied.

    Raises:
        ConfigError: as `from_dict`.
    """
    return _merge(type(config), config, overrides, "")


def to_dict(config: Any) -> Any:
    """Plain data (mappings, lists, strings, numbers) that `from_dict` turns into an equal object."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return {f.name: to_dict(getattr(config, f.name)) for f in dataclasses.fields(config)}
    if isinstance(config, Mapping):
        return {str(k): to_dict(v) for k, v in config.items()}
    if isinstance(config, tuple | list):
        return [to_dict(v) for v in config]
    if isinstance(config, Enum):
        return config.name.lower()
    return str(config) if isinstance(config, Path) else config


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping; duplicate keys are errors and ``3e-4`` is a number.

    Raises:
        ConfigError: the file is absent, not YAML or not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as e:
        raise ConfigError(f"cannot read the configuration {path}: {e.strerror}") from e
    except UnicodeDecodeError as e:
        raise ConfigError(f"{path} is not valid YAML: {e}") from e
    return parse_yaml(text, str(path))


def parse_yaml(text: str, where: str) -> dict[str, Any]:
    """As `read_yaml`, from text.

    Args:
        text: the mapping.
        where: the text came from, for messages.

    Raises:
        ConfigError: it is not YAML or not a mapping.
    """
    try:
        data = yaml.load(text, Loader=_StrictLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as e:  # also what a date or a number cannot be, and nesting
        raise ConfigError(f"{where} is not valid YAML: {' '.join(str(e).split())}") from e
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError(f"{where} holds a {type(data).__name__}, expected a mapping of configuration keys")
    return data


def write_yaml(config: Any, path: Path) -> None:
    """Write a configuration (or plain data) so that `read_yaml` and `from_dict` restore it."""
    path.write_text(yaml.safe_dump(to_dict(config), sort_keys=False, allow_unicode=True), encoding="utf-8")


# Values in messages: a configuration from the network may be nested into any size by a few aliases.
_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 3, 200, 200


class _StrictLoader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.YAMLError(f"key {key!r} is not a string")
            if key in seen:
                raise yaml.YAMLError(f"key {key!r} appears twice")
            seen.add(key)
        built: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return built


# YAML 1.1 takes 3e-4 and 1.5e3 for strings: it wants a point in the mantissa and a sign in the exponent.
_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls, include_extras=True)


def _merge(cls: type[T], base: T | None, data: Any, where: str) -> T:
    if not isinstance(data, Mapping):
        raise ConfigError(f"{where or cls.__name__} is {_SHORT.repr(data)}, expected a mapping")
    hints, values = _hints(cls), {}
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]
    for key, value in data.items():
        if key not in fields:
            raise ConfigError(
                unknown_name("configuration key", f"{where}.{key}" if where else str(key), _paths(fields, where))
            )
        old = getattr(base, key) if base is not None else None
        values[key] = _convert(hints[key], value, f"{where}.{key}" if where else key, old)
    if base is not None:
        return dataclasses.replace(base, **values)  # type: ignore[type-var]
    missing = [n for n, f in fields.items() if n not in values and _required(f)]
    if missing:
        raise ConfigError(f"{where or cls.__name__} lacks a value for {', '.join(missing)}")
    return cls(**values)


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _paths(names: Mapping[str, Any], where: str) -> list[str]:
    return [f"{where}.{n}" if where else n for n in names]


def _convert(hint: Any, value: Any, where: str, old: Any = None) -> Any:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        out = _convert(args[0], value, where, old)
        for limit in (m for m in args[1:] if isinstance(m, Range)):
            if out is not None:
                limit.check(where, out)
        return out
    if origin in (Union, types.UnionType):
        return _convert_union(args, value, where, old)
    if origin is Literal:
        if value in args and any(type(value) is type(a) for a in args):
            return value
        raise ConfigError(unknown_name(f"value for {where}", str(value), map(str, args)))
    if origin in (tuple, list):
        return _convert_sequence(origin, args, value, where)
    if origin in (dict, Mapping):
        if not isinstance(value, Mapping):
            raise _wrong(where, value, "a mapping")
        return {str(k): _convert(args[1], v, f"{where}.{k}") for k, v in value.items()}
    if dataclasses.is_dataclass(hint):
        return value if isinstance(value, hint) else _merge(hint, old, value, where)  # type: ignore[arg-type]
    return _convert_scalar(hint, value, where)


def _convert_scalar(hint: Any, value: Any, where: str) -> Any:
    if hint is Any:
        return value
    if hint is None or hint is type(None):
        if value is None:
            return None
        raise _wrong(where, value, "nothing")
    if isinstance(hint, type) and issubclass(hint, Enum):
        names = {m.name.lower(): m for m in hint}
        if isinstance(value, str) and value.lower() in names:
            return names[value.lower()]
        raise ConfigError(unknown_name(f"value for {where}", str(value), names))
    if hint is float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            if math.isnan(value):
                raise _wrong(where, value, "a number")
            return float(value)
        raise _wrong(where, value, "a number")
    if hint is int and isinstance(value, bool):
        raise _wrong(where, value, "a whole number")
    if hint is Path and isinstance(value, str | Path):
        return Path(value)
    if isinstance(hint, type) and isinstance(value, hint):
        return value
    raise _wrong(where, value, _KINDS.get(hint, getattr(hint, "__name__", str(hint))))


_KINDS = {int: "a whole number", bool: "true or false", str: "text", Path: "a path"}


def _convert_union(options: tuple[Any, ...], value: Any, where: str, old: Any) -> Any:
    messages = []
    # An exact type match first, so that 1 stays an int in `int | float` and True a bool.
    for hint in sorted(options, key=lambda h: h is not type(value)):
        try:
            return _convert(hint, value, where, old)
        except ConfigError as e:
            messages.append(str(e))
    if len(options) == 2 and type(None) in options:
        return _convert(next(o for o in options if o is not type(None)), value, where, old)
    raise ConfigError(messages[0] if len(set(messages)) == 1 else " or ".join(dict.fromkeys(messages)))


def _convert_sequence(kind: type, args: tuple[Any, ...], value: Any, where: str) -> Any:
    if not isinstance(value, list | tuple):
        raise _wrong(where, value, "a list")
    if kind is tuple and not (len(args) == 2 and args[1] is Ellipsis):
        if len(value) != len(args):
            raise _wrong(where, value, f"a list of {len(args)} values")
        return tuple(_convert(a, v, f"{where}[{i}]") for i, (a, v) in enumerate(zip(args, value, strict=True)))
    return kind(_convert(args[0], v, f"{where}[{i}]") for i, v in enumerate(value))


def _wrong(where: str, value: Any, expected: str) -> ConfigError:
    return ConfigError(f"{where} is {_SHORT.repr(value)} ({type(value).__name__}), expected {expected}")
