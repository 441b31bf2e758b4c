"""Raw pixels as an embedding, compared with components that are computed from all patches at once."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.decomposition import PCA

from viscy_data import AnchorDataset, center_crop
from viscy_train.cli.app import main
from viscy_train.evaluation import read_embeddings


def test_components_are_those_of_the_crops(anchors_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "pixels.zarr"
    assert main(["pixels", str(anchors_path), "-o", str(out), "--crop", "16", "--width", "4"]) == 0

    cells = AnchorDataset(anchors_path, positive="self")
    rows = range(len(cells.anchors))
    pixels = center_crop(cells.read(rows), (16, 16)).flatten(1).numpy()
    exact = PCA(4, svd_solver="full").fit_transform(pixels)
    found = read_embeddings(out)
    assert len(found.embedding) == len(rows)
    scale = exact.std(axis=0)
    for ours, theirs, spread in zip(found.embedding.T, exact.T, scale, strict=True):
        assert min(np.abs(ours - theirs).max(), np.abs(ours + theirs).max()) < 0.05 * spread


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--crop", "4000"], "crop=4000: patches of this table have"), (["--seed", "-1"], "seed=-1 is below 0")],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(
    anchors_path: Path, tmp_path: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "pixels.zarr"
    assert main(["pixels", str(anchors_path), "-o", str(out), *arguments]) == 1
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
