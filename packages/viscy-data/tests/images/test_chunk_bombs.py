import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest

from viscy_data.errors import StoreError
from viscy_data.images.statistics import compute_statistics
from viscy_data.tables.experiment import Experiment
from viscy_data.tables.experiments import Experiments

type WriteStore = Callable[..., Path]
PIXELS = np.random.default_rng(0).integers(1, 1000, (3, 2, 1, 32, 32)).astype(np.uint16)
CODECS: dict[str, Callable[[bytes], Any]] = {
    "zstd": numcodecs.Zstd(level=3).encode,
    "gzip": gzip.compress,
    "blosc": numcodecs.Blosc(cname="zstd").encode,
}


def store_of(folder: Path, write_store: WriteStore, codec: str) -> Path:
    """Write a position of format 2 whose chunks are compressed by a codec."""
    store = write_store(folder / "p.zarr", PIXELS, ("Phase", "RFP"), version="0.4")
    file = store / "0" / ".zarray"
    compressor: dict[str, Any] = {"id": codec, "level": 3}
    if codec == "blosc":
        compressor = {"id": codec, "cname": "zstd", "clevel": 5, "shuffle": 1, "blocksize": 0}
    content = json.loads(file.read_text()) | {"compressor": compressor, "filters": None}
    file.write_text(json.dumps(content))
    for place in np.ndindex(3, 2, 1, 2, 2):
        t, c, z, y, x = place
        pixels = PIXELS[t, c, z, 16 * y : 16 * y + 16, 16 * x : 16 * x + 16]
        path = store / "0" / content["dimension_separator"].join(map(str, place))
        path.write_bytes(CODECS[codec](np.ascontiguousarray(pixels).tobytes()))
    return store


def statistics(store: Path) -> Any:
    experiment = Experiment(name="a", data_path=store, tracks_path=store, channels=("Phase",))
    return compute_statistics(Experiments(experiments=(experiment,)), progress=False)


@pytest.mark.parametrize("codec", CODECS)
def test_a_chunk_that_unpacks_to_more_is_named_before_it_is_unpacked(
    tmp_path: Path, write_store: WriteStore, codec: str
) -> None:
    store = store_of(tmp_path, write_store, codec)
    found = statistics(store)
    assert found.loc[found["level"] == "field", "mean"].item() == pytest.approx(PIXELS[:, 0].mean())
    bomb = CODECS[codec](bytes(64 << 20))
    (store / "0/1/1/0/1/1").write_bytes(bomb)  # of a channel that nobody reads
    assert statistics(store).equals(found)
    (store / "0/1/0/0/1/1").write_bytes(bomb)
    with pytest.raises(StoreError, match=r"t=1 .*0/1/0/0/1/1' unpacks to 67,108,864 bytes"):
        statistics(store)
