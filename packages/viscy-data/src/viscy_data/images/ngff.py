"""OME-Zarr metadata (NGFF 0.4 and 0.5), read from their JSON files as far as this package needs them.

A *plate* is a group of wells, each of positions; a *position* is a group of arrays, its *levels*. What is
read is checked, and what is not needed is not looked at. Opening every node as an object, as libraries
that also write do, takes ten times as long: with thousands of fields of view most of an index's time.

What there is, metadata say: the wells that the plate lists, and the images that each well lists. Folders
are not searched, because tables, masks and labels lie beside images, and the groups of rows need no
metadata of their own. Files may come from anywhere, so their size is looked at before they are read, and
paths in them that leave the store are refused.
"""

import json
import math
import os
import stat
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, Field

METADATA_BYTES: Final = 64 << 20
"""Of a metadata file; those of plates of thousands of wells take a tenth of it."""

_FILES: Final = ("zarr.json", ".zattrs", ".zgroup")


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
                scale = one.scale or []
                if len(scale) != len(lengths):
                    raise ValueError(
                        f"scale={scale} does not have one length for each of {len(lengths)} axes"
                    )
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


class _Listed(BaseModel):
    path: str


class _Plate(BaseModel):
    wells: list[_Listed]


class _Well(BaseModel):
    images: list[_Listed]


def read_json(file: Path) -> dict[str, Any] | None:
    """Return the object that a JSON file holds, or None where there is no such file.

    Raises
    ------
    OSError, ValueError, TypeError
        Where it cannot be read, is too large or nested too deep, or holds something else.
    """
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK)  # a pipe is opened without waiting for a writer
    except (FileNotFoundError, NotADirectoryError):
        return None
    with open(handle, "rb", buffering=0, closefd=True) as opened:  # noqa: PTH123  of a file that is open
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"{file.name} is not a regular file")
        if status.st_size > METADATA_BYTES:
            raise ValueError(f"{file.name} has {status.st_size:,} bytes; at most {METADATA_BYTES:,} are read")
        data = opened.read()
    try:
        content = json.loads(data)
    except RecursionError:
        raise ValueError(f"{file.name} is nested too deep") from None
    return _object(content, file.name)


def _object(content: object, what: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise TypeError(f"{what} holds a {type(content).__name__} where an object is due")
    return content


def is_group(folder: Path) -> bool:
    """Return whether a folder has metadata of a Zarr group, of format 2 or 3."""
    return any(os.path.exists(f"{folder}/{file}") for file in _FILES)  # noqa: PTH110  twice as fast


def read_attributes(group: Path) -> dict[str, Any]:
    """Return the attributes of a Zarr group of format 2 or 3; empty where it has none.

    Raises
    ------
    OSError, ValueError, TypeError
        As ``read_json``.
    """
    whole = read_json(group / "zarr.json")
    if whole is not None:
        return _object(whole.get("attributes", {}), "attributes")
    return read_json(group / ".zattrs") or {}


def read_ome(group: Path) -> dict[str, Any]:
    """Return the OME attributes of a group, which NGFF 0.5 keeps apart and 0.4 among the others."""
    attributes = read_attributes(group)
    return _object(attributes.get("ome", attributes), "ome")


def well_names(plate: dict[str, Any]) -> list[str]:
    """Return ``row/column`` of the wells that a plate's OME attributes list.

    Raises
    ------
    ValueError
        Where they list none, or a path that is not of this form.
    """
    paths = [one.path for one in _Plate.model_validate(plate["plate"]).wells]
    return list(dict.fromkeys(_inside(path, "plate.wells", parts=2) for path in paths))


def image_names(well: dict[str, Any]) -> list[str]:
    """Return the names of the positions that a well's OME attributes list.

    Raises
    ------
    ValueError
        Where there is no such list, or a path leaves the well.
    """
    if "well" not in well:
        raise ValueError("its metadata have no 'well', which lists the images")
    paths = [one.path for one in _Well.model_validate(well["well"]).images]
    return list(dict.fromkeys(_inside(path, "well.images", parts=1) for path in paths))


def level_path(level: Level) -> str:
    """Return the path of a level inside its position's group.

    Raises
    ------
    ValueError
        Where it leads out of the group.
    """
    return _inside(level.path, "multiscales.datasets")


def _inside(path: str, key: str, parts: int | None = None) -> str:
    """Return a path that lies inside its group, without a slash at its end."""
    words = path.strip("/").split("/") if not path.startswith("/") else []
    odd = any(word in ("", ".", "..") or "\\" in word or not word.isprintable() for word in words)
    if not words or odd or parts not in (None, len(words)) or max(map(len, words)) > 255:
        form = {None: "a path inside the group", 1: "the name of a folder", 2: "row/column"}[parts]
        raise ValueError(f"{key}: path={path[:80]!r} must be {form}, without '..' or control characters")
    return "/".join(words)


def is_length(value: float, least: float, most: float) -> bool:
    """Return whether a number is finite and within bounds."""
    return math.isfinite(value) and least <= value <= most
