"""Open arrays of stores with TensorStore, and say early which ones it cannot read.

TensorStore reads fewer codecs than zarr-python, which writes stores that TensorStore refuses (a "checksum"
beside zstd, lz4, delta). Found in training, that costs a night; so every field of view's array is opened
when the experiments file is checked. Arrays whose metadata agree, except for their shape, open alike: one
of them is opened, all at once, which takes no longer for thousands of fields of view than for one. No
chunk is read. What zarr-python can read, ``viscy-data optimize`` rewrites.
"""

import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import tensorstore as ts

from viscy_data.errors import StoreError
from viscy_data.images.fovs import Place
from viscy_data.tables.experiment import Experiment

_OPENING = threading.Lock()  # zarr-python's configuration and filters of warnings are the whole process's


def array_spec(folder: Path, missing_chunks: Literal["error", "fill"]) -> dict[str, Any]:
    """Return how TensorStore opens an array for reading."""
    return {
        "driver": "zarr3" if (folder / "zarr.json").exists() else "zarr",
        "kvstore": {"driver": "file", "path": f"{folder}/"},
        "fill_missing_data_reads": missing_chunks == "fill",
        # Stores do not change while they are read: no stat of every cached chunk in every batch.
        "recheck_cached_data": "open",
        "recheck_cached_metadata": "open",
    }


def check_arrays(experiment: Experiment, places: Sequence[Place]) -> None:
    """Open the arrays of an experiment's fields of view, except of those that are excluded.

    Raises
    ------
    StoreError
        Naming the fields of view whose arrays cannot be read, why, and what to do.
    """
    alike: dict[str, list[Place]] = {}
    for place in places:
        if place.info.fov not in experiment.exclude_fovs:
            alike.setdefault(place.kind, []).append(place)
    opening = [
        (own, ts.open(array_spec(own[0].array, "error"), open=True, read=True)) for own in alike.values()
    ]
    problems = []
    for own, future in opening:
        try:
            future.result()
        except (ValueError, OSError) as error:
            problems.append(_problem(experiment, own, error))
    if problems:
        raise StoreError("\n".join(problems))


def reason_of(error: Exception) -> str:
    """Return what TensorStore says of an error, without where in its source it is raised."""
    return str(error).split(" [", maxsplit=1)[0]


def _problem(experiment: Experiment, places: Sequence[Place], error: Exception) -> str:
    named = ", ".join(place.info.fov for place in places[:8])
    more = f" and {len(places) - 8} more" if len(places) > 8 else ""
    store = experiment.data_path
    return (
        f"experiment={experiment.name!r}: data_path={str(store)!r} fov={named}{more}: the array cannot be "
        f"read: {_codec_reason(reason_of(error))}. {_remedy(places[0].array, store)}"
    )


def _codec_reason(reason: str) -> str:
    """Return the end of a chain of reasons, which names the member of the metadata that is not known."""
    return reason.rsplit('.zarray": ', maxsplit=1)[-1].rsplit('zarr.json": ', maxsplit=1)[-1]


def _remedy(array: Path, store: Path) -> str:
    if zarr_python_reads(array):
        return (
            f"zarr-python can read it: rewrite the store, 'viscy-data optimize {store} -o NEW.zarr --patch "
            "Z,Y,X', and point data_path to the copy."
        )
    return "Nor can zarr-python; write the store anew, with a codec such as zstd or blosc, or exclude_fovs."


def zarr_python_reads(array: Path) -> bool:
    """Return whether zarr-python opens an array; no chunk is read."""
    try:
        open_by_zarr_python(array, "error")
    except Exception:  # noqa: BLE001  codecs raise whatever comes of what they do not know
        return False
    return True


def open_by_zarr_python(array: Path, missing_chunks: Literal["error", "fill"]) -> Any:
    """Open an array for reading with zarr-python and its own codecs, of which there are most."""
    import zarr  # noqa: PLC0415  half a second, for stores that need it

    # iohub, where it is imported, has zarr-python decode by a library that knows fewer codecs.
    own = {"codec_pipeline.path": "zarr.core.codec_pipeline.BatchedCodecPipeline"}
    with _OPENING, warnings.catch_warnings(), zarr.config.set(own):
        warnings.simplefilter("ignore")  # of oddities of the store, which a copy has not
        return zarr.open_array(array, mode="r", config={"read_missing_chunks": missing_chunks == "fill"})
