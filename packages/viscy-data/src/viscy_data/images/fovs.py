"""What the metadata of image stores say of their fields of view.

A *store* is an OME-Zarr (NGFF 0.4 or 0.5): an HCS plate or a single position. A *fov* is one position
of it, an array with axes T, C, Z, Y, X at full resolution.

A plate's fields of view are those that its metadata list. One that is listed and missing is an error, as
nobody can tell whether it was left out on purpose or lost on the way, unless ``exclude_fovs`` names it:
what is excluded need not be there, nor be readable.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import ValidationError

from viscy_data.errors import StoreError
from viscy_data.images.array_metadata import read_array_metadata
from viscy_data.images.ngff import (
    Multiscale,
    Position,
    image_names,
    is_group,
    is_length,
    level_path,
    read_ome,
    well_names,
)
from viscy_data.tables.experiment import Experiment, FovInfo
from viscy_data.units import micrometres

_AXES: Final = ["t", "c", "z", "y", "x"]
_NOWHERE: Final = Path()
_PIXEL_UM: Final = (1e-4, 1e5)


class Place(NamedTuple):
    """A field of view, the folder of its full-resolution array, and the kind that its metadata are of."""

    info: FovInfo
    array: Path
    kind: str = ""


def describe(experiment: Experiment) -> list[FovInfo]:
    """Return what the metadata of an experiment's store say of its fields of view.

    The pixel size is the scale of the NGFF coordinate transformations, in micrometres; an axis without
    unit counts as micrometres. A scale of exactly 1 on both axes means *not known*, whatever its unit:
    iohub, among others, writes "1 micrometer" where nobody stated a size. Fovs in ``exclude_fovs`` are
    listed too, and the experiment's own ``pixel_size_um`` is left to whoever combines the two.

    Parameters
    ----------
    experiment
        One experiment of the experiments file.

    Returns
    -------
    list[FovInfo]
        Those that the metadata list, sorted by row, column and position.

    Raises
    ------
    StoreError
        Where the store is absent, is no OME-Zarr, lacks what its metadata list, or has other axes than
        T, C, Z, Y, X.
    """
    return [place.info for place in find_places(experiment)]


def find_places(experiment: Experiment) -> list[Place]:
    """Do as ``describe``, with the folder of each array."""
    path = experiment.data_path
    where = f"experiment={experiment.name!r}: data_path={str(path)!r}"
    if not path.exists():
        raise StoreError(f"{where} does not exist.")
    with _readable(where):
        ome = read_ome(path)
        if "plate" not in ome:
            _check_image(path, ome)
            return [_place(experiment, path.stem, path)]
        names, missing = _listed(path, ome, where)
    excluded = set(experiment.exclude_fovs)
    _check_missing(where, [name for name in missing if name not in excluded])
    places = [_nowhere(name) for name in missing]
    errors = []
    for name in names:
        try:
            with _readable(f"{where} fov={name!r}"):
                places.append(_place(experiment, name, path / name))
        except StoreError as error:
            places.append(_nowhere(name))
            errors += [] if name in excluded else [error]
    raise_together(errors)
    return sorted(places, key=lambda place: place.info.fov.split("/"))


def raise_together(errors: Sequence[StoreError], most: int = 5) -> None:
    """Raise one error of several, the first of which it quotes; return where there is none."""
    if errors:
        quoted = "\n".join(str(error) for error in errors[:most])
        more = f"\n... and {len(errors) - most} more" if len(errors) > most else ""
        raise StoreError(quoted + more) from errors[0]


@contextmanager
def _readable(where: str) -> Iterator[None]:
    try:
        yield
    except StoreError:
        raise
    except Exception as error:  # malformed metadata raise whatever comes of what is where it should not be
        raise StoreError(
            f"{where} cannot be read as OME-Zarr 0.4 or 0.5, plate or single position: {_plainly(error)}"
        ) from error


def _plainly(error: Exception) -> str:
    """Say in one line what was found in the metadata."""
    if isinstance(error, ValidationError):
        found = [(".".join(map(str, one["loc"])), one["msg"]) for one in error.errors()]
        return "; ".join(f"{place}: {message}" for place, message in found[:3])
    return str(error) if type(error) in (ValueError, TypeError) else f"{type(error).__name__}: {error}"


def _listed(plate: Path, ome: dict[str, Any], where: str) -> tuple[list[str], list[str]]:
    """Return the names of the fields of view that a plate lists: those that are there, and the missing.

    A well that is missing counts as one, by its own name.
    """
    there: list[str] = []
    missing: list[str] = []
    for well in well_names(ome):
        if not is_group(plate / well):
            missing.append(well)
            continue
        with _readable(f"{where} well={well!r}"):
            names = [f"{well}/{image}" for image in image_names(read_ome(plate / well))]
        for name in names:
            (there if is_group(plate / name) else missing).append(name)
    return there, missing


def _check_missing(where: str, missing: Sequence[str]) -> None:
    if missing:
        names = f"{', '.join(missing[:400])}{', ...' if len(missing) > 400 else ''}"
        raise StoreError(
            f"{where}: the plate's metadata list {len(missing)} fields of view or wells that are missing, or "
            f"have no metadata: {names}. Bring them back, or leave them out: exclude_fovs: [{names}]."
        )


def _nowhere(name: str) -> Place:
    """Return the place of a field of view that is excluded and not there, or cannot be read."""
    well = name if name.count("/") == 1 else name.rpartition("/")[0]
    return Place(FovInfo(name, well, (0, 0, 0, 0, 0), ()), _NOWHERE)


def _check_image(path: Path, ome: dict[str, Any]) -> None:
    """Refuse a group that is not a position, and say what it is instead."""
    if "multiscales" in ome:
        return
    if not is_group(path):
        inside = sorted(one.name for one in path.iterdir() if is_group(one)) if path.is_dir() else []
        hint = f"; point data_path to {path / inside[0]}" if inside else ""
        raise ValueError(f"it has no metadata of Zarr (zarr.json, .zattrs or .zgroup){hint}")
    if "bioformats2raw.layout" in ome:
        images = _series(path)
        listed = ", ".join(images[:12])
        raise ValueError(
            f"it is the root of bioformats2raw, which holds the images {listed}; point data_path to one of "
            f"them: {path / images[0] if images else path / '0'}"
        )
    if "well" in ome:
        raise ValueError(f"it is a well; point data_path to its plate, {path.parent.parent}")
    if "labels" in ome:
        raise ValueError(f"it is a group of labels; point data_path to its image, {path.parent}")
    raise ValueError("its metadata have neither 'plate' nor 'multiscales'; point data_path to one that has")


def _series(root: Path) -> list[str]:
    """Return the images of a root of bioformats2raw: those that it lists, or that are there by number."""
    listed = read_ome(root / "OME").get("series")
    names = [str(one) for one in listed] if isinstance(listed, list) else []
    return names or sorted((one.name for one in root.iterdir() if one.name.isdecimal()), key=int)


def _place(experiment: Experiment, name: str, folder: Path) -> Place:
    position = Position.model_validate(read_ome(folder))
    image = position.multiscales[0]
    axes = [axis.name.lower() for axis in image.axes]
    if axes != _AXES:
        raise StoreError(
            f"experiment={experiment.name!r} fov={name!r}: axes {axes} are not T, C, Z, Y, X. "
            "Write the store with all five axes (length 1 where there is nothing)."
        )
    array = folder / level_path(image.datasets[0])
    metadata = read_array_metadata(array)
    shape = metadata.shape
    size, notes = (None, ()) if experiment.pixel_size_um is not None else _pixel_size(image)
    info = FovInfo(
        fov=name,
        well=name.rpartition("/")[0],
        shape=shape,
        channels=_channels(position, shape[1]),
        pixel_size_um=size,
        notes=notes,
        slice_um=_slice_length(image),
    )
    return Place(info, array, metadata.kind)


def _channels(position: Position, count: int) -> tuple[str, ...]:
    """Return the channels' names; those that the store does not name are called by their places."""
    named = position.omero.channels if position.omero else None
    labels = [channel.label for channel in named or ()]
    if len(labels) > count:
        raise ValueError(
            f"omero.channels names {len(labels)} channels ({', '.join(map(str, labels))}), and the image has "
            f"{count}; which name is whose cannot be told. Take the names out that are too many"
        )
    labels += [None] * (count - len(labels))
    names = tuple(label or str(place) for place, label in enumerate(labels))
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < count else []
    if twice:
        places = [place for place, name in enumerate(names) if name == twice[0]]
        raise ValueError(
            f"omero.channels: {twice[0]!r} is the name of channels {', '.join(map(str, places))}; give each "
            "a name of its own"
        )
    return names


def _slice_length(image: Multiscale) -> float | None:
    """Return micrometres from slice to slice; None: not known.

    A scale of 1 says nothing where the axis has no unit, whatever y and x have, nor where all three are 1.
    """
    *_, depth, height, width = image.scale()
    name = image.axes[2].unit
    if depth == 1 and (not name or (height, width) == (1, 1)):
        return None
    unit = micrometres(name or "micrometer")
    return depth * unit if unit is not None and is_length(depth * unit, *_PIXEL_UM) else None


def _pixel_size(image: Multiscale) -> tuple[tuple[float, float] | None, tuple[str, ...]]:
    """Return micrometres per pixel (y, x), None: not known; and what of the metadata was not understood."""
    scale = image.scale()[-2:]
    if not all(is_length(length, 1e-100, 1e100) for length in scale):
        raise ValueError(f"scale: {scale} along y and x must be finite and above 0; or set pixel_size_um")
    if scale == [1.0, 1.0]:
        return None, ()
    names = [axis.unit or "micrometer" for axis in image.axes[-2:]]
    units = [micrometres(name) for name in names]
    if units[0] is None or units[1] is None:
        odd = " and ".join(sorted({f"{n!r}" for n, unit in zip(names, units, strict=True) if unit is None}))
        return None, (f"pixel size not known: {odd} is not a unit of length; set pixel_size_um",)
    size = (scale[0] * units[0], scale[1] * units[1])
    if not all(is_length(length, *_PIXEL_UM) for length in size):
        raise ValueError(
            f"scale: a pixel of {size[0]:g} x {size[1]:g} micrometres is not between {_PIXEL_UM[0]:g} and "
            f"{_PIXEL_UM[1]:g}; mend it, or set pixel_size_um"
        )
    return size, ()
