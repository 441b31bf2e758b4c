"""OME-Zarr metadata (NGFF 0.4 and 0.5), read from their JSON files as far as this package needs them.

A *plate* is a group of rows, of wells, of positions; a *position* is a group of arrays, its *levels*. What
is read is checked, and what is not needed is not looked at. Opening every node as an object, as libraries
that also write do, takes ten times as long: with thousands of fields of view most of an index's time.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, NonNegativeInt


class Axis(BaseModel):
    """An axis of a position's levels."""

    name: str
    unit: str | None = None


class Transformation(BaseModel):
    """A coordinate transformation; of those of other types than ``scale`` only the type is read."""

    type: str
    scale: list[float] | None = None


class Level(BaseModel):
    """One level of a position: its path inside the position's group, and its scale."""

    path: str
    transformations: list[Transformation] = Field(alias="coordinateTransformations")


class Multiscale(BaseModel):
    """The levels of a position, that of full resolution first."""

    axes: list[Axis]
    datasets: list[Level] = Field(min_length=1)
    transformations: list[Transformation] | None = Field(default=None, alias="coordinateTransformations")

    def scale(self) -> list[float]:
        """Return the physical length of a pixel of full resolution along every axis.

        Raises
        ------
        ValueError
            Where a scale has another number of axes.
        """
        lengths = [1.0] * len(self.axes)
        for one in [*(self.transformations or ()), *self.datasets[0].transformations]:
            if one.type == "scale":
                scale = one.scale or ()
                lengths = [own * factor for own, factor in zip(lengths, scale, strict=True)]
        return lengths


class Channel(BaseModel):
    """A channel as it is shown."""

    label: str | None = None


class Omero(BaseModel):
    """How a position is shown."""

    channels: list[Channel] | None = None


class Position(BaseModel):
    """What the attributes of a position's group say."""

    multiscales: list[Multiscale] = Field(min_length=1)
    omero: Omero | None = None


class Array(BaseModel):
    """What the metadata of an array with axes T, C, Z, Y, X say."""

    shape: tuple[NonNegativeInt, NonNegativeInt, NonNegativeInt, NonNegativeInt, NonNegativeInt]


def read_attributes(group: Path) -> dict[str, Any]:
    """Return the attributes of a Zarr group of format 2 or 3; empty where it has none."""
    whole = group / "zarr.json"
    if whole.exists():
        attributes: dict[str, Any] = json.loads(whole.read_text(encoding="utf-8")).get("attributes", {})
        return attributes
    apart = group / ".zattrs"
    return json.loads(apart.read_text(encoding="utf-8")) if apart.exists() else {}


def read_ome(group: Path) -> dict[str, Any]:
    """Return the OME attributes of a group, which NGFF 0.5 keeps apart and 0.4 among the others."""
    attributes = read_attributes(group)
    ome: dict[str, Any] = attributes.get("ome", attributes)
    return ome


def read_shape(array: Path) -> tuple[int, int, int, int, int]:
    """Return the shape (T, C, Z, Y, X) of a Zarr array of format 2 or 3.

    Raises
    ------
    OSError, ValueError
        Where there is none, or one with other axes.
    """
    whole = array / "zarr.json"
    file = whole if whole.exists() else array / ".zarray"
    return Array.model_validate_json(file.read_bytes()).shape


def position_names(plate: Path) -> Iterator[str]:
    """Yield ``row/column/position`` of every position that a plate holds, each level sorted."""
    for row in _groups(plate):
        for well in _groups(plate / row):
            yield from (f"{row}/{well}/{position}" for position in _groups(plate / row / well))


def _groups(group: Path) -> list[str]:
    inside = sorted(entry.name for entry in group.iterdir())
    return [
        name for name in inside if any((group / name / file).exists() for file in ("zarr.json", ".zgroup"))
    ]
