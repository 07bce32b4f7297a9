"""pyarrow, which only the exchange needs: imported on use, named with its extra when it is missing."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from robot_rl.core.errors import ConfigError, DataError

Row = dict[str, Any]


def pyarrow() -> ModuleType:
    """The module, with ``parquet`` loaded.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import pyarrow as arrow
        import pyarrow.parquet
    except ImportError as e:
        raise ConfigError(
            "LeRobot datasets need pyarrow, which is not installed: pip install 'robot-rl[exchange]'"
        ) from e
    module: ModuleType = arrow
    return module


def read_table(path: Path) -> Any:
    """A whole parquet file as a table.

    Raises:
        DataError: the file is absent or no parquet file.
    """
    pa = pyarrow()
    try:
        return pa.parquet.read_table(path)
    except (OSError, pa.ArrowException) as e:
        raise DataError(f"cannot read {path}: {' '.join(str(e).split())}") from e


def to_numpy(table: Any, column: str) -> npt.NDArray[Any]:
    """A column of numbers, truth values or lists of numbers of one length as an array ``[rows]`` or ``[rows, n]``.

    Raises:
        DataError: there is no such column, or it holds something else.
    """
    if column not in table.column_names:
        raise DataError(f"there is no column {column!r}, only {', '.join(table.column_names)}")
    pa, values = pyarrow(), table.column(column).combine_chunks()
    if pa.types.is_list(values.type) or pa.types.is_large_list(values.type) or pa.types.is_fixed_size_list(values.type):
        flat = values.flatten()
        rows = np.asarray(flat.to_numpy(zero_copy_only=False))
        if flat.null_count or values.null_count or rows.dtype == object or len(values) == 0 or len(rows) % len(values):
            raise DataError(f"column {column!r} does not hold lists of numbers of one length")
        return rows.reshape(len(values), -1)
    array = np.asarray(values.to_numpy(zero_copy_only=False))
    if array.dtype == object or values.null_count:
        raise DataError(f"column {column!r} holds {values.type}, expected numbers")
    return array


def from_numpy(values: npt.NDArray[Any]) -> Any:
    """Inverse of `to_numpy`; rows of one value become plain numbers, as LeRobot stores features of shape ``[1]``."""
    pa = pyarrow()
    if values.ndim == 1 or values.shape[1] == 1:
        return pa.array(values.reshape(-1))
    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(values).reshape(-1)), values.shape[1])


class TableFile:
    """A parquet file written row by row, or table by table.

    Args:
        path: of the file; its folder is created.
        schema: of its rows; None takes that of the first ones.
        every: rows gathered before they are written as one group.
    """

    def __init__(self, path: Path, schema: Any = None, every: int = 64) -> None:
        self._path, self._schema, self._every = path, schema, every
        self._rows: list[Row] = []
        self._writer: Any = None
        path.parent.mkdir(parents=True, exist_ok=True)

    def append(self, row: Row) -> None:
        """Add one row."""
        self._rows.append(row)
        if len(self._rows) >= self._every:
            self._flush()

    def write(self, table: Any) -> None:
        """Add a table as one row group."""
        if self._writer is None:
            self._schema = table.schema
            self._writer = pyarrow().parquet.ParquetWriter(self._path, self._schema)
        self._writer.write_table(table)

    def _flush(self) -> None:
        if self._rows:
            self.write(pyarrow().Table.from_pylist(self._rows, schema=self._schema))
            self._rows.clear()

    def close(self) -> None:
        """Write what is left. May be called twice."""
        self._flush()
        if self._writer is not None:
            self._writer.close()
            self._writer = None
