"""What a copy is for: the same patches; and what is said of its cost and gain before it is written."""

import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from viscy_data.columns import EXPERIMENT
from viscy_data.dataset.anchor_dataset import AnchorDataset
from viscy_data.errors import InvalidInputError
from viscy_data.indexing.run import build_index
from viscy_data.optimize.estimate import estimate, sample_frames
from viscy_data.optimize.job import Job, patch_of_index, plan_job
from viscy_data.optimize.run import rewrite
from viscy_data.synthetic.writing import synthesize
from viscy_data.tables.experiments import Experiments
from viscy_data.tables.tau import TauRange


@pytest.fixture(scope="module")
def anchors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gain") / "with space"
    path = synthesize(folder, experiments=2, wells=2, fovs=1, frames=6, cells=6, size=96, progress=False)
    out = folder / "anchors.parquet"
    build_index(path, out, patch_size=(32, 32), tau=TauRange(frames=(1, 2)), progress=False)
    return out


def job_of(anchors: Path, out: Path) -> Job:
    store = anchors.parent / "synthetic_1" / "plate.zarr"
    return plan_job(store, out, patch=patch_of_index(anchors, store, 1))


def test_patches_of_the_copy_are_the_same_bit_for_bit(anchors: Path, tmp_path: Path) -> None:
    experiments = Experiments.load(anchors.parent / "experiments.yaml")
    moved = []
    for one in experiments.experiments:
        out = tmp_path / f"{one.name}.zarr"
        rewrite(plan_job(one.data_path, out, patch=(1, 32, 32)), progress=False)
        moved.append(one.model_copy(update={"data_path": out}))
    slow = AnchorDataset(anchors)
    fast = AnchorDataset(anchors, experiments=Experiments(experiments=tuple(moved)))
    assert slow.valid_anchors[EXPERIMENT].nunique() == 2
    for start in range(0, len(slow), 32):
        rows = list(range(start, min(start + 32, len(slow))))
        first, second = slow.__getitems__(rows), fast.__getitems__(rows)
        for name in ("anchor", "positive", "rows", "positive_rows"):
            assert first[name].numpy().tobytes() == second[name].numpy().tobytes()


def test_the_estimate_is_near_what_comes_and_leaves_nothing(anchors: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.zarr"
    job = job_of(anchors, out)
    expected = estimate(job, seconds=0.1, progress=False)
    assert list(tmp_path.iterdir()) == []
    assert expected.frames == 8
    assert expected.before > 0
    assert expected.after > 0
    expected.check_space(out)
    summary = rewrite(job, progress=False)
    assert expected.bytes == pytest.approx(summary.bytes, rel=0.1)
    assert expected.decoded_bytes == job.decoded_bytes


def test_too_small_a_disk_is_refused(anchors: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1000))
    expected = estimate(job_of(anchors, tmp_path / "out.zarr"), seconds=0.0, progress=False)
    with pytest.raises(InvalidInputError, match=r"needs about .* GB, and the disk has 0.00 GB"):
        expected.check_space(tmp_path / "out.zarr")


def test_sampled_frames_are_different_and_spread(anchors: Path, tmp_path: Path) -> None:
    job = job_of(anchors, tmp_path / "out.zarr")
    frames = sample_frames(job)
    assert len({(image.info.fov, t) for image, t in frames}) == len(frames) == 8
    assert {image.info.fov for image, _ in frames} == {image.info.fov for image in job.images}
    everything = sample_frames(job, 1000)
    assert len(everything) == sum(image.info.shape[0] for image in job.images)


def test_an_index_says_the_patch(anchors: Path, tmp_path: Path) -> None:
    store = anchors.parent / "synthetic_2" / "plate.zarr"
    assert patch_of_index(anchors, store, 1) == (1, 32, 32)
    shutil.copytree(store, tmp_path / "other.zarr")
    with pytest.raises(InvalidInputError, match=r"is not of store=.*other\.zarr"):
        patch_of_index(anchors, tmp_path / "other.zarr", 1)
    assert np.prod(patch_of_index(anchors, store, 3)) == 3 * 32 * 32
    large = tmp_path / "large.parquet"
    tau, path = TauRange(frames=(1, 2)), anchors.parent / "experiments.yaml"
    build_index(path, large, patch_size=(32, 4000), tau=tau, progress=False, statistics=False)
    assert patch_of_index(large, store, 1) == (1, 32, 96), "what lies outside is not read"
