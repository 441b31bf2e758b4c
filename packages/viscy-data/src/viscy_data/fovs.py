"""What the metadata of image stores say of their fields of view.

A *store* is an OME-Zarr (NGFF 0.4 or 0.5): an HCS plate or a single position. A *fov* is one position
of it, an array with axes T, C, Z, Y, X at full resolution.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from viscy_data.errors import StoreError
from viscy_data.experiments import Experiment, FovInfo
from viscy_data.ngff import Multiscale, Position, position_names, read_ome, read_shape

_AXES: Final = ["t", "c", "z", "y", "x"]
_MICROMETRES: Final = {
    "angstrom": 1e-4,
    "nanometer": 1e-3,
    "micrometer": 1.0,
    "millimeter": 1e3,
    "centimeter": 1e4,
    "meter": 1e6,
}


class Place(NamedTuple):
    """A field of view and the folder of its full-resolution array."""

    info: FovInfo
    array: Path


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
        Those that are there, sorted by row, column and position.

    Raises
    ------
    StoreError
        Where the store is absent, is no OME-Zarr, or has other axes than T, C, Z, Y, X.
    """
    return [place.info for place in find_places(experiment)]


def find_places(experiment: Experiment) -> list[Place]:
    """Do as ``describe``, with the folder of each array."""
    path = experiment.data_path
    where = f"experiment={experiment.name!r}: data_path={str(path)!r}"
    if not path.exists():
        raise StoreError(f"{where} does not exist.")
    with _readable(where):
        if "plate" not in read_ome(path):
            return [_place(experiment, path.stem, path)]
        names = list(position_names(path))
    places = []
    for name in names:
        with _readable(f"{where} fov={name!r}"):
            places.append(_place(experiment, name, path / name))
    return places


@contextmanager
def _readable(where: str) -> Iterator[None]:
    try:
        yield
    except StoreError:
        raise
    except Exception as error:  # malformed metadata raise whatever comes of what stands where it should not
        raise StoreError(
            f"{where} cannot be read as OME-Zarr 0.4 or 0.5, plate or single position: "
            f"{type(error).__name__}: {error}"
        ) from error


def _place(experiment: Experiment, name: str, folder: Path) -> Place:
    position = Position.model_validate(read_ome(folder))
    image = position.multiscales[0]
    axes = [axis.name.lower() for axis in image.axes]
    if axes != _AXES:
        raise StoreError(
            f"experiment={experiment.name!r} fov={name!r}: axes {axes} are not T, C, Z, Y, X. "
            "Write the store with all five axes (length 1 where there is nothing)."
        )
    array = folder / image.datasets[0].path
    shape = read_shape(array)
    info = FovInfo(
        fov=name,
        well=name.rpartition("/")[0],
        shape=shape,
        channels=_channels(position, shape[1]),
        pixel_size_um=_pixel_size(image),
    )
    return Place(info, array)


def _channels(position: Position, count: int) -> tuple[str, ...]:
    """Return the channels' names; where the store has none they are called by their places."""
    named = position.omero.channels if position.omero else None
    labels = [channel.label for channel in named] if named else [None] * count
    return tuple(str(i) if label is None else label for i, label in enumerate(labels))


def _pixel_size(image: Multiscale) -> tuple[float, float] | None:
    scale = image.scale()[-2:]
    units = [axis.unit or "micrometer" for axis in image.axes[-2:]]
    if scale == [1.0, 1.0] or not all(unit in _MICROMETRES for unit in units):
        return None
    y, x = (length * _MICROMETRES[unit] for length, unit in zip(scale, units, strict=True))
    return y, x
