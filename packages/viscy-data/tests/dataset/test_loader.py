from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from viscy_data.dataset.anchor_dataset import AnchorDataset, Pairing, Reading
from viscy_data.dataset.loader import anchor_loader
from viscy_data.errors import InvalidInputError, StoreError
from viscy_data.images.statistics import compute_statistics
from viscy_data.sampling.sampler import FlexibleBatchSampler
from viscy_data.tables.experiment import Experiment
from viscy_data.tables.experiments import Experiments
from viscy_data.tables.tau import TauRange

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
            statistics=statistics,
            **{"pairing": Pairing(tau=TauRange(frames=(1, 3))), **options},
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


@pytest.mark.parametrize("look_ahead", [1, 3, 50])
def test_looking_ahead_changes_no_byte(make_dataset: Callable[..., AnchorDataset], look_ahead: int) -> None:
    dataset = make_dataset(reading=Reading(memory_bytes=1 << 30))
    plain = anchor_loader(dataset, sample(dataset))
    ahead = anchor_loader(dataset, sample(dataset), look_ahead=look_ahead)
    for _ in range(2):
        for one, other in zip(plain, ahead, strict=True):
            for name in ("anchor", "positive", "rows", "positive_rows"):
                assert torch.equal(one[name], other[name])
            assert one["anchor_meta"]["fov"] == other["anchor_meta"]["fov"]
    assert dataset.read_counts.wanted > dataset.read_counts.loaded > 0


@pytest.mark.parametrize("consumed", [1, 2, 5])
def test_a_state_names_what_was_consumed_and_not_what_was_read_ahead(
    make_dataset: Callable[..., AnchorDataset], consumed: int
) -> None:
    dataset = make_dataset()
    expected = [batch["rows"].tolist() for batch in anchor_loader(dataset, sample(dataset))]
    sampler = sample(dataset)
    batches = iter(anchor_loader(dataset, sampler, look_ahead=2))
    seen = [next(batches)["rows"].tolist() for _ in range(consumed)]
    state = sampler.state_dict(consumed=consumed)
    assert sampler.state_dict()["position"] == min(consumed + 2, len(expected)), "two were drawn ahead"
    resumed = sample(dataset)
    resumed.load_state_dict(state)
    rest = [batch["rows"].tolist() for batch in anchor_loader(dataset, resumed, look_ahead=2)]
    assert seen + rest == expected


def test_what_fails_ahead_is_raised_in_its_batchs_place(
    make_dataset: Callable[..., AnchorDataset], store: Path
) -> None:
    for file in (store / "A/1/0/0/c/7").rglob("*"):
        if file.is_file():
            file.write_bytes(b"broken")
    dataset = make_dataset(positive="self", pairing=Pairing())
    frames = [dataset.valid_anchors.query(f"t == {t}").index.to_list() for t in (0, 7, 1)]
    batches = iter(anchor_loader(dataset, frames, look_ahead=2))
    assert next(batches)["rows"].tolist() == frames[0]
    with pytest.raises(StoreError, match=r"a\.zarr' fov='A/1/0' t=7 channel='Phase'"):
        next(batches)


def test_memory_is_shared_by_workers_and_batches(make_dataset: Callable[..., AnchorDataset]) -> None:
    """A pair of 8 x 8 takes 512 bytes, a batch of 6 pairs 3072."""
    with pytest.raises(InvalidInputError, match=r"memory_bytes=500 is too little .* 1 batches of 512 bytes"):
        make_dataset(reading=Reading(memory_bytes=500))
    dataset = make_dataset(reading=Reading(memory_bytes=20_000))
    assert len(list(anchor_loader(dataset, sample(dataset), look_ahead=1))) > 4
    with pytest.raises(InvalidInputError, match=r"each of 2 processes, 32 batches of 512 bytes leave 0"):
        anchor_loader(dataset, sample(dataset), num_workers=2, prefetch_factor=30)
    dataset = make_dataset(reading=Reading(memory_bytes=20_000))
    with pytest.raises(InvalidInputError, match=r"1 processes, 7 batches of 3072 bytes leave 0"):
        list(anchor_loader(dataset, sample(dataset), look_ahead=5))


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
        with pytest.raises(InvalidInputError, match=f"look_ahead={workers}"):
            anchor_loader(make_dataset(), [[0]], look_ahead=cast("int", workers))
