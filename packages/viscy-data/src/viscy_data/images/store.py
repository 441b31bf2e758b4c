"""Image stores: what they hold and the one reader of their pixels (TensorStore).

A *store* is an OME-Zarr (NGFF 0.4 or 0.5): an HCS plate or a single position. A *fov* is one position
of it, an array with axes T, C, Z, Y, X at full resolution. A *crop* is a box of one fov at one frame.
Fovs are keyed by (experiment, fov), hence by (path, fov), never by fov alone.

Invariants: nothing is ever written. All crops of one frame are asked of TensorStore at once, and frame
after frame as far ahead as ``ReadLimits`` allow, so that a chunk is read and decoded once per call. Handles
open on first use and stay in the process that opened them: pickling drops them, and a fork that inherits
them is refused, because TensorStore's threads do not survive it. A chunk that is missing, truncated or
corrupt is an error, never silent zeros.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts
from numpy.typing import NDArray

from viscy_data.checks import check_integer
from viscy_data.errors import InvalidInputError, StoreError, suggest
from viscy_data.images.arrays import array_spec, reason_of
from viscy_data.images.chunk_bombs import ChunkFiles
from viscy_data.images.chunks import ChunkGrid, Portion, portions
from viscy_data.images.fovs import Place, describe, find_places
from viscy_data.images.memory import hand_back, share_arenas
from viscy_data.images.patches import Crop
from viscy_data.images.read_counts import ReadCounts, count_loads
from viscy_data.images.reading import MissingChunks, ReadLimits
from viscy_data.tables.experiment import FovInfo
from viscy_data.tables.experiments import Experiments

Array = NDArray[Any]

__all__ = ["Array", "MissingChunks", "StoreReader", "describe"]

_ONE_AT_A_TIME = threading.Lock()


class StoreReader:
    """Read crops of the experiments' stores.

    Parameters
    ----------
    experiments
        Name, path and channels of every store.
    cache_bytes
        Of decoded chunks that are kept for later calls, beside those in flight; see ``ReadLimits``.
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
        cache_bytes = check_integer("cache_bytes", cache_bytes, 0)
        if missing_chunks not in ("error", "fill"):
            raise InvalidInputError(f"missing_chunks={missing_chunks!r} must be 'error' or 'fill'.")
        self._experiments = {experiment.name: experiment for experiment in experiments.experiments}
        self._limits = ReadLimits(cache_bytes=cache_bytes)
        self._missing_chunks = missing_chunks
        self._known: dict[str, dict[str, Place]] = {}
        self._pid = -1
        self._files: tuple[Path, ChunkFiles] | None = None
        self._counts = ReadCounts()
        self._close()

    def _close(self) -> None:
        self._gone, self._freed = False, 0
        self._context: ts.Context | None = None
        self._handles: dict[tuple[str, str], Any] = {}
        self._grids: dict[tuple[str, str], ChunkGrid] = {}

    def __getstate__(self) -> dict[str, Any]:
        closed: dict[str, Any] = {
            "_context": None,
            "_handles": {},
            "_grids": {},
            "_pid": -1,
            "_counts": ReadCounts(),
        }
        return self.__dict__ | closed

    def limit(self, limits: ReadLimits) -> None:
        """Hold no more than ``limits``; where they are others than before, what was kept is dropped."""
        with _ONE_AT_A_TIME:
            if limits != self._limits:
                self._limits = limits
                self._close()
            if limits.firm:
                share_arenas()

    def drain_counts(self) -> ReadCounts:
        """Return the counts since they were last asked for."""
        with _ONE_AT_A_TIME:
            counts, self._counts = self._counts, ReadCounts()
        return counts

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

    def channel_arrays(self, experiment: str, fov: str) -> dict[str, ts.TensorStore]:
        """Return the whole movie of each channel of a field of view, of which nothing is read yet.

        What is indexed is read, and no more: ``np.asarray(arrays["Phase3D"][3, 0])`` is a slice of a frame.

        Returns
        -------
        dict of str to TensorStore
            (T, Z, Y, X) in the store's dtype, by the channels' names in the order of the experiments file.

        Raises
        ------
        StoreError
            Where the field of view, or one of the channels, is not there or cannot be opened.
        """
        self._check_process()
        crop, spec = Crop(experiment, fov, 0, (0, 0), (0, 0), (0, 0)), self._spec(experiment, fov)
        try:
            array = ts.open(spec, open=True, read=True).result()
        except (ValueError, OSError) as error:
            raise self._error(crop, error, ()) from error
        return dict(zip(self._names(crop), (array[:, one] for one in self._channels(crop)), strict=True))

    def _described(self, experiment: str) -> dict[str, Place]:
        if experiment not in self._known:
            if experiment not in self._experiments:
                raise InvalidInputError(
                    f"experiment={experiment!r} is not in the experiments file, which has "
                    f"{sorted(self._experiments)}.{suggest(experiment, self._experiments)}"
                )
            places = find_places(self._experiments[experiment])
            self._known[experiment] = {place.info.fov: place for place in places}
        return self._known[experiment]

    def refuse_bombs(self, experiment: str, fov: str, t: int) -> None:
        """Refuse a frame of which a chunk unpacks to more than it holds (``viscy_data.images.chunk_bombs``).

        Raises
        ------
        StoreError
            Naming the file and its size.
        """
        place = self._described(experiment)[fov]
        crop = Crop(experiment, fov, t, (0, 0), (0, 0), (0, 0))
        if self._files is None or self._files[0] != place.array:
            self._files = (place.array, ChunkFiles(place.array))
        for file, size in self._files[1].oversized(t, self._channels(crop)):
            raise self._error(crop, ValueError(f"{file!r} unpacks to {size:,} bytes, more than a chunk"), ())

    def read(self, crops: Sequence[Crop]) -> list[Array]:
        """Return the pixels of every crop.

        Returns
        -------
        list[Array]
            One array (C, Z, Y, X) per crop, in the store's dtype; C are the experiment's channels, in
            the order of the experiments file, or the crop's own.

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
        read: dict[int, Array | StoreError] = {}
        self.read_each(crops, read.__setitem__)
        return [read[place] for place in range(len(crops))]

    def read_each(self, crops: Sequence[Crop], take: Callable[[int, Array | StoreError], None]) -> None:
        """Hand the pixels of each crop, or the error, to ``take`` with its place, as they come.

        Frame after frame, so that what has been taken makes room for what is still to be read. One call
        at a time reads in a process, whatever its threads: TensorStore uses all cores for it.

        Raises
        ------
        InvalidInputError
            Where a crop alone would take more memory than firm limits allow.
        """
        self._check_process()
        with _ONE_AT_A_TIME:
            self._read_each(crops, take)
            if self._gone:  # what TensorStore knows of it must not outlive its absence
                self._close()

    def _read_each(self, crops: Sequence[Crop], take: Callable[[int, Array | StoreError], None]) -> None:
        opening = {crop[:2]: self._open(crop) for crop in crops}  # all, before one is waited for
        grids = {crop[:2]: self._grid(crop, opening[crop[:2]]) for crop in crops}
        readable: dict[int, ChunkGrid] = {}
        for place, crop in enumerate(crops):
            grid = grids[crop[:2]]
            if isinstance(grid, ChunkGrid):
                readable[place] = grid
            else:
                take(place, self._error(crop, grid, ()))
        loaded, wanted = count_loads(), 0
        waiting: deque[tuple[Portion, list[Any]]] = deque()
        free = self._limits.in_flight_bytes
        for portion in portions(crops, readable, free):
            self._check_cost(crops[portion.places[0]], portion)
            while waiting and portion.cost > free:
                free += self._finish(*waiting.popleft(), crops, take)
            waiting.append((portion, [self._ask(crops[place]) for place in portion.places]))
            free -= portion.cost
            wanted += portion.wanted
        while waiting:
            self._finish(*waiting.popleft(), crops, take)
        self._counts = self._counts.plus(wanted, count_loads() - loaded)

    def _check_cost(self, crop: Crop, portion: Portion) -> None:
        if self._limits.firm and portion.cost > self._limits.in_flight_bytes:
            raise InvalidInputError(
                f"memory_bytes leaves {self._limits.in_flight_bytes} bytes for what is in flight in each "
                f"process, and a single patch of experiment={crop.experiment!r} fov={crop.fov!r} takes "
                f"{portion.cost} to read. Allow more, or store the images in smaller chunks."
            )

    def _finish(
        self,
        portion: Portion,
        asked: list[Any],
        crops: Sequence[Crop],
        take: Callable[[int, Array | StoreError], None],
    ) -> int:
        """Hand over the crops of a portion; return the bytes that this frees."""
        for place, one in zip(portion.places, asked, strict=True):
            take(place, self._answer(crops[place], one))
        self._freed += portion.cost
        if self._limits.spare_bytes is not None and self._freed > self._limits.spare_bytes // 2:
            hand_back(self._limits.spare_bytes // 2)
            self._freed = 0
        return portion.cost

    def _open(self, crop: Crop) -> Any:
        """Return the future of an open array, asked for once per process, or why it cannot be."""
        key = (crop.experiment, crop.fov)
        if self._context is None:
            self._pid = os.getpid()
            self._context = ts.Context({"cache_pool": {"total_bytes_limit": self._limits.pool_bytes}})
        if key not in self._handles:
            spec = self._spec(*key)
            self._handles[key] = ts.open(spec, open=True, read=True, context=self._context)
        return self._handles[key]

    def _grid(self, crop: Crop, opening: Any) -> ChunkGrid | Exception:
        key = (crop.experiment, crop.fov)
        if key not in self._grids:
            channels = self._channels(crop)
            try:
                array = opening.result()
            except (ValueError, OSError) as error:
                self._handles.pop(key, None)
                return error
            layout = array.chunk_layout
            shapes = (layout.read_chunk.shape, layout.write_chunk.shape)
            self._grids[key] = ChunkGrid(*shapes, array.dtype.numpy_dtype.itemsize, channels)
        return self._grids[key]

    def _spec(self, experiment: str, fov: str) -> dict[str, Any]:
        places = self._described(experiment)
        if fov not in places:
            raise StoreError(f"experiment={experiment!r} has no fov={fov!r}.{suggest(fov, places)}")
        return array_spec(places[fov].array, self._missing_chunks)

    def _check_process(self) -> None:
        if self._pid not in (-1, os.getpid()):
            raise StoreError(
                f"this reader opened its stores in process {self._pid}, and process {os.getpid()} was forked "
                "from it; TensorStore does not survive a fork. Use "
                "DataLoader(multiprocessing_context='forkserver') or viscy_data.anchor_loader."
            )

    def _ask(self, crop: Crop) -> Any:
        """Return the future of a crop's pixels, or the error that keeps it from being asked for.

        Without a ``ts.Batch``, which decodes nothing before it holds all files of a batch: five times
        slower on small raw chunks.
        """
        key = (crop.experiment, crop.fov)
        try:
            array = self._handles[key].result()
            channels = self._grids[key].channels
            asked = channels if crop.channel is None else (channels[crop.channel],)
            return array[crop.t, _as_slice(asked), slice(*crop.z), slice(*crop.y), slice(*crop.x)].read()
        except (ValueError, IndexError, OSError) as error:
            return self._error(crop, error, ())

    def _answer(self, crop: Crop, asked: Any) -> Array | StoreError:
        if isinstance(asked, StoreError):
            return asked
        try:
            pixels: Array = np.asarray(asked.result())
        except (ValueError, IndexError, OSError) as error:
            return self._error(crop, error, tuple(self._failing(crop)))
        # A store that vanished reads as fill values, too: only then is a look at the disk due.
        if self._missing_chunks == "fill" and not pixels.any() and not self._array(crop).exists():
            return self._error(crop, FileNotFoundError("the store is gone"), ())
        return pixels

    def _array(self, crop: Crop) -> Path:
        return self._described(crop.experiment)[crop.fov].array

    def _channels(self, crop: Crop) -> tuple[int, ...]:
        """Return the experiment's channels as places in the store."""
        held = self._described(crop.experiment)[crop.fov].info.channels
        wanted = self._experiments[crop.experiment].channels
        unknown = [name for name in wanted if name not in held]
        if unknown:
            raise StoreError(
                f"experiment={crop.experiment!r} fov={crop.fov!r} has no channel {unknown}; it has "
                f"{list(held)}.{suggest(unknown[0], held)}"
            )
        return tuple(held.index(name) for name in wanted)

    def _failing(self, crop: Crop) -> Iterator[str]:
        """Yield the channels of a crop that could not be read, each tried on its own."""
        array = self._handles[crop.experiment, crop.fov].result()
        held = self._described(crop.experiment)[crop.fov].info.channels
        for name in self._names(crop):
            try:
                array[
                    crop.t, held.index(name), slice(*crop.z), slice(*crop.y), slice(*crop.x)
                ].read().result()
            except (ValueError, IndexError, OSError):
                yield name

    def error_of(self, crop: Crop, reason: str, failing: NDArray[np.bool_]) -> StoreError:
        """Return the error of a crop that was read and cannot be used, for ``failing`` channels (C,)."""
        at_fault = tuple(name for name, fails in zip(self._names(crop), failing, strict=True) if fails)
        return self._error(crop, ValueError(reason), at_fault)

    def _names(self, crop: Crop) -> tuple[str, ...]:
        """Return the names of the channels that a crop is of."""
        names = self._experiments[crop.experiment].channels
        return names if crop.channel is None else (names[crop.channel],)

    def _error(self, crop: Crop, error: Exception, failing: tuple[str, ...]) -> StoreError:
        """Return the error of a crop; with no channel known to fail, all of them are named."""
        experiment = self._experiments[crop.experiment]
        reason = reason_of(error)
        if not self._array(crop).exists():
            self._gone = True
            reason = "the store is gone"
        elif "is missing" in reason:
            reason += (
                " (if the store's writer leaves out chunks that hold only the fill value: 'viscy-data index "
                "--missing-chunks fill', which the table keeps, or Reading(missing_chunks='fill'))"
            )
        return StoreError(
            f"cannot read store={str(experiment.data_path)!r} fov={crop.fov!r} t={crop.t} "
            f"channel={', '.join(map(repr, failing or self._names(crop)))} "
            f"(experiment={crop.experiment!r}): {reason}."
        )


def _as_slice(places: tuple[int, ...]) -> list[int] | slice:
    """Return places as a slice, the faster, where they are a run."""
    run = range(places[0], places[0] + len(places))
    return slice(run.start, run.stop) if places == tuple(run) else list(places)
