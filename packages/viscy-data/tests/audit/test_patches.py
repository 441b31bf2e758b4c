"""The first batch of a plan as pictures."""

import re
import shutil
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from typer.testing import CliRunner

from viscy_data.audit.command import read_counted_anchors
from viscy_data.audit.patches import MOST, batch_galleries
from viscy_data.cli.app import app
from viscy_data.composition import BatchPlan, Grouping
from viscy_data.dataset.anchor_dataset import AnchorDataset
from viscy_data.indexing.run import build_index
from viscy_data.pages.pixels import eight_bits, tinted
from viscy_data.sampling.sampler import FlexibleBatchSampler
from viscy_data.synthetic.writing import synthesize
from viscy_data.tables.tau import TauRange

PLANS = [("one", BatchPlan(6, grouping=Grouping("experiment"))), ("all", BatchPlan(2 * MOST))]


@pytest.fixture(scope="module")
def anchors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("audited")
    data = synthesize(
        folder / "data", experiments=2, wells=2, fovs=1, frames=4, cells=10, size=96, progress=False
    )
    build_index(
        data, folder / "anchors.parquet", patch_size=(24, 24), tau=TauRange(frames=(1, 2)), progress=False
    )
    return folder / "anchors.parquet"


def test_pictures_are_those_of_the_batch_and_in_one_contrast(anchors: Path) -> None:
    counted = read_counted_anchors(anchors, [plan for _, plan in PLANS])
    first, second = batch_galleries(anchors, counted, PLANS, seed=3)
    assert (first.heading, len(first.tiles)) == ("one", 6)
    assert (len(second.tiles), second.caption) == (MOST, f"{MOST} of {2 * MOST} cells of the first batch.")
    dataset = AnchorDataset(anchors)
    batch = FlexibleBatchSampler.from_plan(counted, PLANS[0][1], seed=3).batch(0, epoch=0)
    (experiment,) = set(dataset.valid_anchors["experiment"].iloc[list(batch)])
    assert {tile.caption.split(" · ")[0] for tile in first.tiles} == {experiment}
    shown = [imagecodecs.png_decode(tile.png) for tile in (*first.tiles, *second.tiles)]
    # one contrast: each picture is its patch, moved and stretched as all the others are
    patches = dataset.read(dataset.valid_rows)[:, :, 0].numpy()
    levels = np.array([picture.mean() for picture in shown])
    own = np.array([tinted(one).mean() for one in eight_bits(patches)])
    assert own.min() - 20 <= levels.min() <= levels.max() <= own.max() + 20
    captions = [tile.caption for tile in second.tiles]
    assert captions == sorted(captions)


def test_a_cell_that_cannot_be_read_is_said_to_be(anchors: Path, tmp_path: Path) -> None:
    shutil.copytree(anchors.parent, tmp_path / "moved")
    path = tmp_path / "moved" / "anchors.parquet"
    for chunk in sorted((tmp_path / "moved").rglob("c/0/*/*/*/*")):
        if chunk.is_file():
            chunk.write_bytes(b"damaged")
    counted = read_counted_anchors(path, [PLANS[1][1]])
    (gallery,) = batch_galleries(path, counted, PLANS[1:])
    lost = [tile for tile in gallery.tiles if tile.caption.endswith(" · could not be read")]
    assert 0 < len(lost) < len(gallery.tiles)
    assert all(not imagecodecs.png_decode(tile.png).any() for tile in lost)


def test_the_command_shows_patches_on_its_page_alone(anchors: Path, tmp_path: Path) -> None:
    command = ["audit", str(anchors), "--batch-size", "8", "--batches", "4", "--patches"]
    refused = CliRunner().invoke(app, command)
    assert refused.exit_code == 2
    assert "add --html" in refused.output
    page = tmp_path / "audit.html"
    assert CliRunner().invoke(app, [*command, "--html", str(page)]).exit_code == 0
    text = page.read_text()
    assert len(re.findall("data:image/png", text)) == 8
    assert "No pixel was read" not in text
    assert CliRunner().invoke(app, [*command[:-1], "--html", str(page)]).exit_code == 0
    assert "No pixel was read" in page.read_text()
