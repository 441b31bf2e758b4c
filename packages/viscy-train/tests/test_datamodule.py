"""The data as a trainer gets it, from real small stores."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer

from viscy_data.dataset.anchor_dataset import Pairing
from viscy_data.errors import CompositionWarning, InvalidInputError
from viscy_train.datamodule import AnchorDataModule, PatchOptions
from viscy_train.parts import BatchOptions, SplitOptions

BATCHES = BatchOptions(batch_size=8, condition_balanced=True)


def build(path: Path, **options: Any) -> AnchorDataModule:
    data = AnchorDataModule(path, **{"batches": BATCHES, "split": SplitOptions(0.3), **options})
    data.setup("fit")
    return data


def rows(batches: Any) -> list[list[int]]:
    return [batch["rows"].tolist() for batch in batches]


def test_batches_hold_two_views_and_ids(anchors_path: Path) -> None:
    data = build(anchors_path)
    anchors = data.dataset.anchors
    for batch in data.train_dataloader():
        given = data.on_before_batch_transfer(batch, 0)
        assert given["anchor"].shape == given["positive"].shape == (8, 2, 1, 40, 40)
        taken = anchors.iloc[given["rows"].numpy()]
        positives = anchors.iloc[given["positive_rows"].numpy()]
        assert taken["lineage_id"].tolist() == positives["lineage_id"].tolist()
        same = np.equal.outer(taken["lineage_id"].to_numpy(), taken["lineage_id"].to_numpy())
        ids = given["lineage_ids"]
        assert torch.equal(ids[:, None] == ids[None, :], torch.from_numpy(same))
        assert len(set(given["group_ids"].tolist())) == taken["experiment"].nunique() == 1
        assert "group_ids" not in batch


def test_group_is_that_of_the_batch_for_leaked_anchors_too(anchors_path: Path) -> None:
    data = build(anchors_path, batches=BatchOptions(batch_size=8, leaky=0.25))
    codes = data.dataset.anchors["experiment"].cat.codes.to_numpy()
    batch = data.on_before_batch_transfer(next(iter(data.train_dataloader())), 0)
    counts = np.bincount(codes[batch["rows"]])
    assert sorted(counts[counts > 0])[-1] == 6
    assert batch["group_ids"].tolist() == [int(counts.argmax())] * 8


def test_without_groups_there_are_no_group_ids(anchors_path: Path) -> None:
    data = build(anchors_path, batches=BatchOptions(batch_size=8, experiment_aware=False))
    batch = data.on_before_batch_transfer(next(iter(data.train_dataloader())), 0)
    assert "group_ids" not in batch


def test_positives_that_undo_few_frames_are_told_of(anchors_path: Path) -> None:
    batches = BatchOptions(batch_size=4, condition_balanced=False, plan={"locality": {"frames": 2}})
    with pytest.warns(CompositionWarning, match=r"from 2 frames .* set tau_per to 'frame'"):
        build(anchors_path, batches=batches)
    with pytest.warns(CompositionWarning, match=r"pairing.by=\['condition'\] draws positives from any frame"):
        build(anchors_path, batches=batches, pairing=Pairing(by="condition"))
    build(anchors_path, batches=batches, patches=PatchOptions(positive="self"))
    data = build(anchors_path, batches=batches, pairing=Pairing(tau_per="frame"))
    anchors = data.dataset.anchors
    for batch in data.train_dataloader():
        for rows_, most in ((batch["rows"], 2), (torch.cat([batch["rows"], batch["positive_rows"]]), 4)):
            assert len(anchors.iloc[rows_.numpy()][["experiment", "fov", "t"]].drop_duplicates()) <= most


def test_parts_share_no_lineage(anchors_path: Path) -> None:
    data = build(anchors_path)
    assert data.validation_sampler is not None
    lineages = data.dataset.valid_anchors["lineage_id"].astype(str).to_numpy()
    training, validation = data.train_sampler.positions, data.validation_sampler.positions
    assert not set(lineages[training]) & set(lineages[validation])
    assert len(training) + len(validation) == len(data.dataset)


def test_validation_is_the_same_in_every_epoch(anchors_path: Path) -> None:
    data = build(anchors_path)
    loader = data.val_dataloader()
    first, second = list(loader), list(loader)
    assert rows(first) == rows(second)
    assert len(first) == data.validation_batches > 0
    assert all(torch.equal(a["positive"], b["positive"]) for a, b in zip(first, second, strict=True))


def test_training_follows_the_epoch(anchors_path: Path) -> None:
    data = build(anchors_path)
    loader = data.train_dataloader()
    epochs = []
    for epoch in (0, 1, 0):
        loader.batch_sampler.sampler.set_epoch(epoch)  # type: ignore[union-attr]  # as trainers do
        epochs.append(rows(loader))
    assert epochs[0] == epochs[2] != epochs[1]


def test_state_is_plain_and_continues(anchors_path: Path) -> None:
    data = build(anchors_path)
    iterator = iter(data.train_dataloader())
    next(iterator)
    state = data.state_dict()
    assert isinstance(state["training"], dict)
    rest = rows(iterator)
    after = build(anchors_path)
    after.load_state_dict(state)
    assert rows(after.train_dataloader()) == rest
    before = AnchorDataModule(anchors_path, BATCHES, SplitOptions(0.3))
    assert before.state_dict() == {}
    before.load_state_dict(state)
    before.setup("fit")
    assert rows(before.train_dataloader()) == rest


def test_no_validation(anchors_path: Path) -> None:
    data = build(anchors_path, split=SplitOptions(fraction=0))
    assert data.val_dataloader() == []
    assert data.validation_batches == 0
    assert len(data.train_sampler.positions) == len(data.dataset)


def test_patches_and_positives_as_asked(anchors_path: Path) -> None:
    data = build(anchors_path, patches=PatchOptions(size=(56, 48), positive="self"))
    batch = next(iter(data.train_dataloader()))
    assert batch["anchor"].shape == (8, 2, 1, 56, 48)
    assert torch.equal(batch["anchor"], batch["positive"])


def test_cells_of_the_same_values_are_pairs_within_their_part_and_no_negatives(anchors_path: Path) -> None:
    batches = BatchOptions(batch_size=8, condition_balanced=False)
    data = build(anchors_path, batches=batches, pairing=Pairing(by=["condition", "well"]))
    anchors = data.dataset.anchors
    positions, validation = data.train_sampler.positions, data.validation_sampler
    assert validation is not None
    parts = [
        set(anchors.iloc[data.dataset.valid_rows[one]]["lineage_id"])
        for one in (positions, validation.positions)
    ]
    assert not parts[0] & parts[1]
    for batch in data.train_dataloader():
        given = data.on_before_batch_transfer(batch, 0)
        taken, positives = (anchors.iloc[given[name].numpy()] for name in ("rows", "positive_rows"))
        assert taken["well"].tolist() == positives["well"].tolist()
        assert (taken["global_track_id"].to_numpy() != positives["global_track_id"].to_numpy()).all()
        assert set(positives["lineage_id"]) <= parts[0]
        values, lineages = given["value_ids"], given["lineage_ids"]
        wells = taken["well"].to_numpy()
        assert np.array_equal(values[:, None] == values[None, :], np.equal.outer(wells, wells))
        both = np.concatenate([taken["lineage_id"].to_numpy(), positives["lineage_id"].to_numpy()])
        assert np.array_equal(lineages[:, None] == lineages[None, :], np.equal.outer(both, both))


def test_batches_of_one_value_are_refused(anchors_path: Path) -> None:
    grouped = BatchOptions(batch_size=4, condition_balanced=False, plan={"grouping": {"by": "well"}})
    with pytest.raises(InvalidInputError, match=r"pairing.by=\['well'\]: .* none is a negative of another"):
        build(anchors_path, batches=grouped, pairing=Pairing(by="well"))


@pytest.mark.parametrize(
    ("ranks", "replaces", "refused"), [(1, True, False), (2, True, True), (2, False, False)]
)
def test_a_trainer_that_replaces_the_sampler_is_refused(
    anchors_path: Path, ranks: int, replaces: bool, refused: bool
) -> None:
    data = AnchorDataModule(anchors_path, BATCHES, SplitOptions(0.3))
    data.trainer = Trainer(
        accelerator="cpu",
        devices=ranks,
        strategy="ddp" if ranks > 1 else "auto",
        use_distributed_sampler=replaces,
        logger=False,
    )
    if refused:
        with pytest.raises(InvalidInputError, match=r"pass Trainer\(use_distributed_sampler=False\)"):
            data.setup("fit")
    else:
        data.setup("fit")


def test_setup_twice_opens_once(anchors_path: Path) -> None:
    data = build(anchors_path)
    dataset = data.dataset
    data.setup("validate")
    assert data.dataset is dataset
