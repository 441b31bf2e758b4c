"""Image stores: what they hold (iohub) and the one reader of their pixels (TensorStore).

A *store* is an OME-Zarr (NGFF 0.4 or 0.5): an HCS plate or a single position. A *fov* is one position
of it, an array with axes T, C, Z, Y, X at full resolution. A *crop* is a box of one fov at one frame.
Fovs are keyed by (experiment, fov), hence by (path, fov), never by fov alone.

Invariants: nothing is ever written. All crops of one call are asked of TensorStore at once, so that a
chunk is read and decoded once per call. Handles open on first use and stay in the process that opened
them: pickling drops them, and a fork that inherits them is refused, because TensorStore's threads do
not survive it. A chunk that is missing, truncated or corrupt is an error, never silent zeros.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import numpy as np
import tensorstore as ts
from numpy.typing import NDArray

from viscy_data.checks import is_whole
from viscy_data.errors import InvalidInputError, StoreError, suggest
from viscy_data.experiments import Experiment, Experiments, FovInfo
from viscy_data.patches import Crop

if TYPE_CHECKING:
    from iohub.ngff import Position

Array = NDArray[Any]

MissingChunks = Literal["error", "fill"]

_AXES: Final = ("t", "c", "z", "y", "x")
_MICROMETRES: Final = {
    "angstrom": 1e-4,
    "nanometer": 1e-3,
    "micrometer": 1.0,
    "millimeter": 1e3,
    "centimeter": 1e4,
    "meter": 1e6,
}


class _Place(NamedTuple):
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
    return [place.info for place in _places(experiment)]


def _places(experiment: Experiment) -> list[_Place]:
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


def _place(experiment: Experiment, name: str, position: "Position", folder: Path) -> _Place:
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
    return _Place(info, folder / level)


def _pixel_size(position: "Position", level: str) -> tuple[float, float] | None:
    scale = position.get_effective_scale(level)[-2:]
    units = [getattr(axis, "unit", None) or "micrometer" for axis in position.axes[-2:]]
    if scale == [1.0, 1.0] or not all(unit in _MICROMETRES for unit in units):
        return None
    y, x = (length * _MICROMETRES[unit] for length, unit in zip(scale, units, strict=True))
    return y, x


class StoreReader:
    """Read crops of the experiments' stores.

    Parameters
    ----------
    experiments
        Name, path and channels of every store.
    cache_bytes
        Size of the pool of decoded chunks that outlive a call; 0 keeps none.
    missing_chunks
        ``"error"``: a chunk that does not exist is a ``StoreError``. ``"fill"``: it reads as the fill
        value, as Zarr defines, for stores whose writer leaves out chunks that hold nothing else
        (zarr-python does so by default).

    Raises
    ------
    InvalidInputError
        Where an argument is not allowed.
    """

    def __init__(
        self, experiments: Experiments, *, cache_bytes: int = 0, missing_chunks: MissingChunks = "error"
    ) -> None:
        if not is_whole(cache_bytes, least=0):
            raise InvalidInputError(f"cache_bytes={cache_bytes!r} must be an integer >= 0 (bytes).")
        if missing_chunks not in ("error", "fill"):
            raise InvalidInputError(f"missing_chunks={missing_chunks!r} must be 'error' or 'fill'.")
        self._experiments = {experiment.name: experiment for experiment in experiments.experiments}
        self._cache_bytes = cache_bytes
        self._missing_chunks = missing_chunks
        self._known: dict[str, dict[str, _Place]] = {}
        self._close()

    def _close(self) -> None:
        self._context: ts.Context | None = None
        self._handles: dict[tuple[str, str], Any] = {}
        self._pid = -1

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_context": None, "_handles": {}, "_pid": -1}

    def fovs(self, experiment: str) -> tuple[FovInfo, ...]:
        """Return the fields of view of an experiment, described on first use.

        Raises
        ------
        InvalidInputError
            For a name that the experiments lack.
        StoreError
            As ``describe``.
        """
        return tuple(place.info for place in self._described(experiment).values())

    def _described(self, experiment: str) -> dict[str, _Place]:
        if experiment not in self._known:
            if experiment not in self._experiments:
                raise InvalidInputError(
                    f"experiment={experiment!r} is not in the experiments file, which has "
                    f"{sorted(self._experiments)}.{suggest(experiment, self._experiments)}"
                )
            places = _places(self._experiments[experiment])
            self._known[experiment] = {place.info.fov: place for place in places}
        return self._known[experiment]

    def read(self, crops: Sequence[Crop]) -> list[Array]:
        """Return the pixels of every crop.

        Returns
        -------
        list[Array]
            One array (C, Z, Y, X) per crop, in the store's dtype; C are the experiment's channels, in
            the order of the experiments file.

        Raises
        ------
        StoreError
            For the first crop that cannot be read, or when the process was forked after this reader
            had opened a store.
        """
        read = self.try_read(crops)
        for one in read:
            if isinstance(one, StoreError):
                raise one
        return [one for one in read if not isinstance(one, StoreError)]

    def try_read(self, crops: Sequence[Crop]) -> list[Array | StoreError]:
        """Do as ``read``, with the error in place of the pixels where a crop cannot be read."""
        opening = {crop[:2]: self._open(*crop[:2]) for crop in crops}
        with ts.Batch() as batch:
            asked = [self._ask(opening[crop[:2]], crop, batch) for crop in crops]
        return [self._answer(crop, one) for crop, one in zip(crops, asked, strict=True)]

    def _open(self, experiment: str, fov: str) -> Any:
        """Return the future of an open array; asked for once per process."""
        self._check_process()
        key = (experiment, fov)
        if key not in self._handles:
            self._handles[key] = ts.open(
                self._spec(experiment, fov), open=True, read=True, context=self._context
            )
        return self._handles[key]

    def _spec(self, experiment: str, fov: str) -> dict[str, Any]:
        places = self._described(experiment)
        if fov not in places:
            raise StoreError(f"experiment={experiment!r} has no fov={fov!r}.{suggest(fov, places)}")
        folder = places[fov].array
        return {
            "driver": "zarr3" if (folder / "zarr.json").exists() else "zarr",
            "kvstore": {"driver": "file", "path": f"{folder}/"},
            "fill_missing_data_reads": self._missing_chunks == "fill",
            # Stores do not change while they are read: no stat of every cached chunk in every batch.
            "recheck_cached_data": "open",
            "recheck_cached_metadata": "open",
        }

    def _check_process(self) -> None:
        if self._pid not in (-1, os.getpid()):
            raise StoreError(
                f"this reader opened its stores in process {self._pid}, and process {os.getpid()} was forked "
                "from it; TensorStore does not survive a fork. Use "
                "DataLoader(multiprocessing_context='forkserver') or viscy_data.anchor_loader."
            )
        if self._context is None:
            self._pid = os.getpid()
            self._context = ts.Context({"cache_pool": {"total_bytes_limit": self._cache_bytes}})

    def _ask(self, opening: Any, crop: Crop, batch: Any) -> Any:
        """Return the future of a crop's pixels, or the error that keeps it from being asked for."""
        try:
            array = opening.result()
            channels = self._channels(crop)
            return array[crop.t, channels, slice(*crop.z), slice(*crop.y), slice(*crop.x)].read(batch=batch)
        except StoreError as error:
            return error
        except (ValueError, IndexError, OSError) as error:
            self._handles.pop((crop.experiment, crop.fov), None)
            return self._error(crop, error, ())

    def _answer(self, crop: Crop, asked: Any) -> Array | StoreError:
        if isinstance(asked, StoreError):
            return asked
        try:
            pixels: Array = np.asarray(asked.result())
        except (ValueError, IndexError, OSError) as error:
            return self._error(crop, error, tuple(self._failing(crop)))
        # A store that vanished reads as fill values, too: only then is a look at the disk due.
        gone = self._missing_chunks == "fill" and not pixels.any() and not self._array(crop).exists()
        return self._error(crop, FileNotFoundError("the store is gone"), ()) if gone else pixels

    def _array(self, crop: Crop) -> Path:
        return self._described(crop.experiment)[crop.fov].array

    def _channels(self, crop: Crop) -> list[int] | slice:
        """Return the experiment's channels as places in the store: a slice, the faster, where it can be."""
        held = self._described(crop.experiment)[crop.fov].info.channels
        wanted = self._experiments[crop.experiment].channels
        unknown = [name for name in wanted if name not in held]
        if unknown:
            raise StoreError(
                f"experiment={crop.experiment!r} fov={crop.fov!r} has no channel {unknown}; it has "
                f"{list(held)}.{suggest(unknown[0], held)}"
            )
        places = [held.index(name) for name in wanted]
        run = list(range(places[0], places[0] + len(places)))
        return slice(run[0], run[-1] + 1) if places == run else places

    def _failing(self, crop: Crop) -> Iterator[str]:
        """Yield the channels of a crop that could not be read, each tried on its own."""
        array = self._handles[crop.experiment, crop.fov].result()
        held = self._described(crop.experiment)[crop.fov].info.channels
        for name in self._experiments[crop.experiment].channels:
            try:
                array[
                    crop.t, held.index(name), slice(*crop.z), slice(*crop.y), slice(*crop.x)
                ].read().result()
            except (ValueError, IndexError, OSError):
                yield name

    def _error(self, crop: Crop, error: Exception, failing: tuple[str, ...]) -> StoreError:
        """Return the error of a crop; with no channel known to fail, all of them are named."""
        experiment = self._experiments[crop.experiment]
        reason = str(error).split(" [", maxsplit=1)[0]
        if not self._array(crop).exists():
            reason = "the store is gone"
        elif "is missing" in reason:
            reason += (
                " (if the store's writer leaves out chunks that hold only the fill value, read it with "
                "missing_chunks='fill')"
            )
        return StoreError(
            f"cannot read store={str(experiment.data_path)!r} fov={crop.fov!r} t={crop.t} "
            f"channel={', '.join(map(repr, failing or experiment.channels))} "
            f"(experiment={crop.experiment!r}): {reason}."
        )
