"""What the metadata of image stores say of their fields of view (iohub).

A *store* is an OME-Zarr (NGFF 0.4 or 0.5): an HCS plate or a single position. A *fov* is one position
of it, an array with axes T, C, Z, Y, X at full resolution.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from viscy_data.errors import StoreError
from viscy_data.experiments import Experiment, FovInfo

if TYPE_CHECKING:
    from iohub.ngff import Position

_AXES: Final = ("t", "c", "z", "y", "x")
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
        In the order of the plate's metadata.

    Raises
    ------
    StoreError
        Where the store is absent, is no OME-Zarr, or has other axes than T, C, Z, Y, X.
    """
    return [place.info for place in find_places(experiment)]


def find_places(experiment: Experiment) -> list[Place]:
    """Do as ``describe``, with the folder of each array."""
    # iohub takes seconds to import and only metadata need it: workers never get here.
    from iohub.ngff import Plate, open_ome_zarr  # noqa: PLC0415

    path = experiment.data_path
    if not path.exists():
        raise StoreError(f"experiment={experiment.name!r}: data_path={str(path)!r} does not exist.")
    try:
        with open_ome_zarr(path, mode="r") as node:
            named = node.positions() if isinstance(node, Plate) else [(path.stem, node)]
            plate = isinstance(node, Plate)
            return [
                _place(experiment, name, position, path / name if plate else path) for name, position in named
            ]
    except StoreError:
        raise
    except Exception as error:  # iohub, zarr and pydantic raise their own kinds for malformed metadata
        raise StoreError(
            f"experiment={experiment.name!r}: data_path={str(path)!r} cannot be read as OME-Zarr 0.4 or "
            f"0.5, plate or single position: {type(error).__name__}: {error}"
        ) from error


def _place(experiment: Experiment, name: str, position: "Position", folder: Path) -> Place:
    if tuple(position.axis_names) != _AXES:
        raise StoreError(
            f"experiment={experiment.name!r} fov={name!r}: axes {position.axis_names} are not T, C, Z, Y, X. "
            "Write the store with all five axes (length 1 where there is nothing)."
        )
    level = position.metadata.multiscales[0].datasets[0].path
    frames, channels, depth, rows, columns = position[level].shape
    info = FovInfo(
        fov=name,
        well=name.rpartition("/")[0],
        shape=(frames, channels, depth, rows, columns),
        channels=tuple(position.channel_names),
        pixel_size_um=_pixel_size(position, level),
    )
    return Place(info, folder / level)


def _pixel_size(position: "Position", level: str) -> tuple[float, float] | None:
    scale = position.get_effective_scale(level)[-2:]
    units = [getattr(axis, "unit", None) or "micrometer" for axis in position.axes[-2:]]
    if scale == [1.0, 1.0] or not all(unit in _MICROMETRES for unit in units):
        return None
    y, x = (length * _MICROMETRES[unit] for length, unit in zip(scale, units, strict=True))
    return y, x
