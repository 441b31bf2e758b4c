"""Bright cells at every distance from a border, from the store to the batch: where in its patch is each?

Nothing but pixels is looked at. If the brightest point is in the middle wherever the cell lies, no model
can tell from its place in the patch where in the image the cell was.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from numpy.typing import NDArray

from viscy_data.augment.transforms import center_crop
from viscy_data.dataset.anchor_dataset import AnchorDataset
from viscy_data.errors import InvalidInputError
from viscy_data.indexing.run import IndexSummary, build_index
from viscy_data.tables.borders import Border
from viscy_data.tables.tau import TauRange

type WriteStore = Callable[..., Path]

SIDE, FRAMES = 48, 24
PATCH = 16


def discs(um: float = 1.0) -> tuple[NDArray[np.uint16], pd.DataFrame]:
    """Draw two cells a frame, a bright disc each, that walk from corners of the image to its middle.

    With pixels of other sizes ``um`` the same is shown in more of them, or fewer.
    """
    side = round(SIDE / um)
    axis = np.arange(side) * um
    frames, rows = np.empty((FRAMES, 1, 2, side, side), np.uint16), []
    for t in range(FRAMES):
        centres = [(float(t), float(t)), (float(t), SIDE - 1.0)]
        light = np.zeros((side, side))
        for track, (y, x) in enumerate(centres):
            distance = (axis[:, None] - y) ** 2 + (axis[None] - x) ** 2
            light = np.maximum(light, 1000 * np.exp(-distance / 18))
            rows.append((track, t, y / um, x / um))
        frames[t] = 1 + np.rint(light)  # no chunk is empty
    return frames, pd.DataFrame(rows, columns=["track_id", "t", "y", "x"])


def write(folder: Path, write_store: WriteStore, sizes: dict[str, float]) -> None:
    entries = []
    for name, um in sizes.items():
        pixels, tracks = discs(um)
        size = 0.6 * um, 0.6 * um  # a size of 1 counts as not known
        write_store(folder / f"{name}.zarr", {"A/1/0": pixels}, ["c"], pixel_size_um=size)
        tracks.assign(fov="A/1/0").to_csv(folder / f"{name}.csv", index=False)
        entries.append(
            {"name": name, "data_path": f"{name}.zarr", "tracks_path": f"{name}.csv", "channels": ["c"]}
        )
    (folder / "experiments.yaml").write_text(yaml.safe_dump({"experiments": entries}))


def index(folder: Path, border: Border, patch: int = PATCH) -> IndexSummary:
    return build_index(
        folder / "experiments.yaml",
        folder / f"{border}.parquet",
        patch_size=(patch, patch),
        tau=TauRange(frames=(1, 1)),
        border=border,
        progress=False,
        overwrite=True,
    )


def batch_of(path: Path, **options: Any) -> dict[str, Any]:
    dataset = AnchorDataset(path, normalization="none", positive="self", **options)
    return dataset.__getitems__(range(len(dataset)))


def brightest_is_in_the_middle(patches: NDArray[Any]) -> NDArray[np.bool_]:
    """Say for each patch (B, C, Z, Y, X) whether no pixel is brighter than the middle one."""
    y, x = (length // 2 for length in patches.shape[-2:])
    middle = patches[:, 0, 0, y, x]
    found: NDArray[np.bool_] = middle == patches[:, 0, 0].max(axis=(1, 2))
    return found


@pytest.mark.parametrize("size", [(PATCH, PATCH), (PATCH + 9, PATCH + 4), (3 * SIDE, 5)])
def test_each_cell_is_in_the_middle_of_its_patch(
    tmp_path: Path, write_store: WriteStore, size: tuple[int, int]
) -> None:
    write(tmp_path, write_store, {"a": 1.0})
    index(tmp_path, "reflect")
    batch = batch_of(tmp_path / "reflect.parquet", patch_size=size, z_window=2)
    assert len(batch["rows"]) == 2 * FRAMES
    assert brightest_is_in_the_middle(batch["anchor"].numpy()).all()
    for crop in ((9, 5), (8, 4)):
        assert brightest_is_in_the_middle(center_crop(batch["anchor"], crop).numpy()).all()


def test_a_shifted_patch_tells_how_near_the_border_was(tmp_path: Path, write_store: WriteStore) -> None:
    write(tmp_path, write_store, {"a": 1.0})
    index(tmp_path, "shift")
    batch = batch_of(tmp_path / "shift.parquet")
    outside = batch["anchor_meta"]["outside"]
    assert 0.5 < (outside > 0).mean() < 0.9
    np.testing.assert_array_equal(brightest_is_in_the_middle(batch["anchor"].numpy()), outside == 0)


def test_a_dropped_cell_is_counted(tmp_path: Path, write_store: WriteStore) -> None:
    write(tmp_path, write_store, {"a": 1.0})
    kept = index(tmp_path, "drop")
    all_cells = index(tmp_path, "reflect")
    at_border = all_cells.counts[0].border
    assert 0 < at_border < all_cells.counts[0].anchors == 2 * FRAMES
    assert kept.counts[0].dropped == {"patch reaches over the border": at_border}
    assert (kept.counts[0].anchors, kept.counts[0].border) == (2 * FRAMES - at_border, 0)
    batch = batch_of(tmp_path / "drop.parquet")
    assert not batch["anchor_meta"]["outside"].any()
    assert brightest_is_in_the_middle(batch["anchor"].numpy()).all()
    with pytest.raises(InvalidInputError, match=r"patch_size: .* reach over the border .* border='drop'"):
        batch_of(tmp_path / "drop.parquet", patch_size=(PATCH + 2, PATCH + 2))


def test_borders_count_in_micrometres(tmp_path: Path, write_store: WriteStore) -> None:
    """The finer store's crops are three times as large, and so is what reaches over its borders."""
    write(tmp_path, write_store, {"coarse": 1.0, "fine": 1 / 3})
    index(tmp_path, "reflect", patch=15)
    batch = batch_of(tmp_path / "reflect.parquet")
    patches, meta = batch["anchor"].numpy(), batch["anchor_meta"]
    fine, outside = np.array(meta["experiment"]) == "fine", meta["outside"]
    # 7 of 15 pixels lie before a centre, and 22 of 45.
    np.testing.assert_allclose(outside[fine], outside[~fine], atol=0.05)
    assert brightest_is_in_the_middle(patches).all()
    inside = (outside[fine] == 0) & (outside[~fine] == 0)
    assert 0 < inside.sum() < len(inside)
    np.testing.assert_allclose(patches[fine][inside], patches[~fine][inside], atol=30)
