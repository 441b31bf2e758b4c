"""Label masks and TIFF movies as other programs write them: the archives of cases that went wrong."""

from pathlib import Path

import numpy as np
import pytest
import tensorstore as ts
from cases import unpack_case

from viscy_data.convert.run import convert_movies
from viscy_data.dataset.anchor_dataset import AnchorDataset
from viscy_data.indexing.run import build_index
from viscy_data.tables.anchors.read import read_anchors
from viscy_data.tables.tau import TauRange

CELLS_AND_LINEAGES = {"empty_frame": (35, 5), "missing_mask_file": (30, 5), "parent_unseen": (20, 3)} | {
    "skip_at_division": (25, 3)
}
FRAMES = {
    "imagej_zcyx": (4, 2, 5, 64, 80),
    "imagej_zyx": (4, 1, 5, 64, 80),
    "ome_czyx": (4, 2, 5, 64, 80),
    "ome_zcyx": (4, 2, 5, 64, 80),
    "ome_zyx": (4, 1, 5, 64, 80),
    "pyramid_ome": (4, 2, 1, 64, 80),
    "plain_cyx": (4, 2, 1, 64, 80),
    "lzw": (4, 2, 1, 64, 80),
    "zstd": (4, 2, 1, 64, 80),
    "rgb": (4, 3, 1, 64, 80),
    "rgba": (4, 4, 1, 64, 80),
}


def test_every_challenge_folder_shows_its_cells(tmp_path: Path) -> None:
    folder = unpack_case("20", tmp_path)
    names = sorted(path.stem for path in folder.glob("*.yaml"))
    assert len(names) >= 14
    for name in names:
        out = folder / f"{name}.parquet"
        build_index(
            folder / f"{name}.yaml", out, patch_size=(12, 12), tau=TauRange(frames=(1, 2)), progress=False
        )
        anchors = read_anchors(out)
        found = len(anchors), anchors["lineage_id"].nunique()
        assert found == CELLS_AND_LINEAGES.get(name, (40, 5)), name
        dataset = AnchorDataset(out, positive="self", normalization="none", patch_size=(16, 16))
        patches = dataset.__getitems__(range(len(dataset)))["anchor"].numpy()
        assert (patches[..., 6:10, 6:10].mean(axis=(1, 2, 3, 4)) > 1500).all(), name


@pytest.mark.parametrize("name", sorted(FRAMES))
def test_every_movie_has_the_axes_that_its_files_state(tmp_path: Path, name: str) -> None:
    folder = unpack_case("22", tmp_path)
    (movie,) = convert_movies([folder / name], tmp_path / "out", progress=False).movies
    assert movie.shape == FRAMES[name]
    store = tmp_path / "out" / name / "plate.zarr" / "A/1/0/0"
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(store)}}
    stored = np.asarray(ts.open(spec).result().read().result())
    base = np.load(folder / "base.npy")
    if stored.shape == base.shape:
        np.testing.assert_array_equal(stored, base)
    told = "axes not stated" in " ".join(movie.remarks)
    assert told == (name in ("plain_cyx", "lzw", "zstd"))
