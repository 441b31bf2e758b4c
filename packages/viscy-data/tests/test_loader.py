from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from viscy_data.dataset import AnchorDataset, Pairing, Reading
from viscy_data.errors import InvalidInputError, StoreError
from viscy_data.experiments import Experiment, Experiments
from viscy_data.loader import anchor_loader
from viscy_data.normalization import compute_statistics
from viscy_data.sampler import FlexibleBatchSampler
from viscy_data.tau import TauRange

WriteStore = Callable[..., Path]
MakePixels = Callable[..., NDArray[Any]]


@pytest.fixture
def store(tmp_path: Path, write_store: WriteStore, make_pixels: MakePixels) -> Path:
    return write_store(tmp_path / "a.zarr", {"A/1/0": make_pixels((8, 1, 1, 24, 24))}, ["Phase"])


@pytest.fixture
def make_dataset(store: Path) -> Callable[..., AnchorDataset]:
    experiment = Experiment(name="a", data_path=store, tracks_path=store, channels=("Phase",))
    experiments = Experiments(experiments=(experiment,))
    rng = np.random.default_rng(0)
    rows = [(track, t) for t in range(8) for track in range(6)]
    anchors = pd.DataFrame(rows, columns=["track_id", "t"]).assign(
        experiment="a", condition="none", fov="A/1/0", parent_track_id=-1, z=0
    )
    anchors[["y_crop", "x_crop"]] = rng.integers(0, 24, (len(anchors), 2))
    statistics = compute_statistics(experiments, progress=False)

    def make(**options: Any) -> AnchorDataset:
        return AnchorDataset(
            anchors,
            experiments=experiments,
            patch_size=(8, 8),
            pairing=Pairing(tau=TauRange(frames=(1, 3))),
            statistics=statistics,
            **options,
        )

    return make


def sample(dataset: AnchorDataset) -> FlexibleBatchSampler:
    sampler = FlexibleBatchSampler(dataset.valid_anchors, batch_size=6, condition_balanced=False, seed=4)
    sampler.set_epoch(1)
    return sampler


def test_workers_change_no_byte(make_dataset: Callable[..., AnchorDataset]) -> None:
    dataset = make_dataset()
    here, sampler = anchor_loader(dataset, sample(dataset)), sample(dataset)
    there = anchor_loader(dataset, sampler, num_workers=2, timeout=120)
    for _ in range(2):
        pairs = list(zip(here, there, strict=True))
        assert len(pairs) == len(sampler) > 4
        for one, other in pairs:
            for name in ("anchor", "positive", "rows", "positive_rows"):
                assert torch.equal(one[name], other[name])
                assert one[name].is_contiguous()
                assert other[name].is_contiguous()
            assert one["anchor_meta"]["fov"] == other["anchor_meta"]["fov"]
            np.testing.assert_array_equal(one["anchor_meta"]["t"], other["anchor_meta"]["t"])


def test_what_fails_in_a_worker_is_readable_and_what_is_replaced_is_counted(
    make_dataset: Callable[..., AnchorDataset], store: Path
) -> None:
    for file in (store / "A/1/0/0/c/4").rglob("*"):
        if file.is_file():
            file.write_bytes(b"broken")
    dataset = make_dataset()
    broken = dataset.valid_anchors.query("t == 4").index.to_list()
    with pytest.raises(StoreError, match=r"a\.zarr' fov='A/1/0' t=4 channel='Phase'"):
        list(anchor_loader(dataset, [broken], num_workers=1, timeout=120))
    skipping = make_dataset(reading=Reading(on_error="skip"))
    (batch,) = anchor_loader(skipping, [broken[:3]], num_workers=1, timeout=120)
    assert skipping.skipped == 3
    assert not set(batch["rows"].tolist()) & set(broken)


def test_the_global_generator_stays_untouched(make_dataset: Callable[..., AnchorDataset]) -> None:
    dataset = make_dataset()
    before = torch.get_rng_state()
    assert len(list(anchor_loader(dataset, sample(dataset)))) > 1
    assert torch.equal(torch.get_rng_state(), before)


def test_bad_arguments_are_refused(make_dataset: Callable[..., AnchorDataset]) -> None:
    for workers in (-1, True, 1.0):
        with pytest.raises(InvalidInputError, match=f"num_workers={workers}"):
            anchor_loader(make_dataset(), [[0]], num_workers=cast("int", workers))
