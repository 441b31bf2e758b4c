from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import zarr
from numpy.typing import NDArray

from viscy_data.dataset.anchor_dataset import AnchorDataset, Pairing
from viscy_data.images.normalized_patches import resample
from viscy_data.images.patches import PatchShape, PatchTable
from viscy_data.images.store import describe
from viscy_data.tables.experiment import Experiment
from viscy_data.tables.experiments import Experiments
from viscy_data.tables.tau import TauRange

WriteStore = Callable[..., Path]
MakePixels = Callable[..., NDArray[Any]]

CHANNELS = ("Phase", "RFP")


@pytest.mark.parametrize("sizes", [(0.5, 0.5), (0.5, 0.3)])
def test_a_batch_is_what_is_read_patch_by_patch(
    tmp_path: Path, write_store: WriteStore, make_pixels: MakePixels, sizes: tuple[float, float]
) -> None:
    """Borders, z windows and resampling: crop by crop with zarr-python, bit for bit."""
    rng = np.random.default_rng(0)
    experiments, tables = [], []
    for name, size, version in zip("ab", sizes, ("0.4", "0.5"), strict=True):
        images = {"A/1/0": make_pixels((3, 2, 5, 40, 44))}
        pixel_size = (size, size)
        store = write_store(
            tmp_path / f"{name}.zarr", images, CHANNELS, version=version, pixel_size_um=pixel_size
        )
        experiments.append(Experiment(name=name, data_path=store, tracks_path=store, channels=CHANNELS))
        table = pd.DataFrame({"t": np.repeat(range(3), 10), "track_id": [*range(10)] * 3})
        for axis, extent in (("z", 5), ("y_crop", 40), ("x_crop", 44)):
            table[axis] = rng.integers(0, extent, 30)
        tables.append(table.assign(experiment=name, fov="A/1/0", parent_track_id=-1, condition="none"))
    of = Experiments(experiments=tuple(experiments))
    pairing = Pairing(tau=TauRange(frames=(1, 2)))
    dataset = AnchorDataset(
        pd.concat(tables, ignore_index=True),
        experiments=of,
        patch_size=(9, 12),
        z_window=3,
        pairing=pairing,
        normalization="none",
    )
    common = max(sizes)
    described = [(one, describe(one)) for one in experiments]
    crops = PatchTable.build(dataset.anchors, described, PatchShape((9, 12), 3, common))
    batch = dataset.__getitems__(rng.permutation(len(dataset))[:24].tolist())
    assert dataset.read_counts.wanted == dataset.read_counts.loaded > 0
    for view, rows in (("anchor", "rows"), ("positive", "positive_rows")):
        taken = batch[rows].numpy()
        for patch, row, crop in zip(batch[view].numpy(), taken, crops.crops(taken)[0], strict=True):
            array = zarr.open_array(tmp_path / f"{crop.experiment}.zarr" / crop.fov / "0", mode="r")
            height, width = crops.crop[crops.fov[row], 1:].tolist()
            y, x = dataset.anchors.iloc[row][["y_crop", "x_crop"]].astype(int)
            frame = np.asarray(array)[crop.t, :, slice(*crop.z)]
            margins = [(0, 0), (0, 0), (height, height), (width, width)]
            padded = np.pad(frame, margins, mode="reflect")
            top, left = y + height - height // 2, x + width - width // 2
            box = padded[..., top : top + height, left : left + width]
            np.testing.assert_array_equal(patch, resample(box, (9, 12)))
