"""What napari is told of a file, and given of it."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from viscy_train.napari_reader.ours import is_embeddings, is_index

if TYPE_CHECKING:
    from viscy_train.napari_reader.layers import Layer

type Paths = str | Sequence[str]
type Reader = Callable[[Paths], list["Layer"]]


def get_reader(path: Paths) -> Reader | None:
    """Return what reads a path, or None where it is not ours: napari asks before it opens anything.

    Ours are tables of ``viscy-data index`` and embeddings of ``viscy-train embed``.
    """
    paths = [path] if isinstance(path, str) else list(path)
    return read if paths and all(is_index(Path(one)) or is_embeddings(Path(one)) for one in paths) else None


def read(path: Paths) -> "list[Layer]":
    """Return the layers of the first field of view of each table, and say in a warning where others are.

    Raises
    ------
    InvalidInputError
        If a table cannot be read or has no cells.
    """
    from viscy_train.napari_reader.fields import open_table  # noqa: PLC0415  seconds, for files that are ours
    from viscy_train.napari_reader.layers import field_layers  # noqa: PLC0415

    layers: list[Layer] = []
    for one in [path] if isinstance(path, str) else path:
        table = open_table(one)
        layers += field_layers(table, table.fields[0])
        if len(table.fields) > 1:
            warnings.warn(
                f"{' '.join(table.fields[0])} is the first of {len(table.fields)} fields of view of "
                f"{table.path.name}; the others are under Plugins > viscy > Field of view.",
                stacklevel=2,
            )
    return layers
