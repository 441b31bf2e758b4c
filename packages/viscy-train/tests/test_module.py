"""The module alone, on batches made by hand."""

import inspect
from dataclasses import asdict
from pathlib import Path
from typing import Any, override

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from viscy_data.augment.transforms import Geometry, Intensity
from viscy_train.encoder import EncoderOptions
from viscy_train.losses import NTXentHCL
from viscy_train.module import ContrastiveModule, LossOptions, OptimizerOptions
from viscy_train.schedules import WarmupCosine

SIZE, CELLS, STEPS = 24, 8, 6


class Batches(Dataset[dict[str, Tensor]]):
    """Batches of cells that are 3 x 3 squares of random brightness; element i is batch i."""

    def __len__(self) -> int:
        return STEPS

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(number)
        blobs = torch.randn(CELLS, 2, 1, 3, 3, generator=generator)
        cells = blobs.repeat_interleave(SIZE // 3, dim=3).repeat_interleave(SIZE // 3, dim=4)
        noise = torch.randn(cells.shape, generator=generator)
        rows = torch.arange(CELLS)
        return {"anchor": cells, "positive": cells + 0.1 * noise, "rows": rows, "lineage_ids": rows // 2}


def loader() -> DataLoader[dict[str, Tensor]]:
    return DataLoader(Batches(), batch_size=None)


def small(**options: Any) -> ContrastiveModule:
    torch.manual_seed(0)
    return ContrastiveModule(EncoderOptions("small", in_channels=2, projection=16), **options)


class Record(Callback):
    """Keep what each step saw and gave."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.rates: list[float] = []
        self.inputs: list[Tensor] = []

    @override
    def on_fit_start(self, trainer: Trainer, pl_module: Any) -> None:
        pl_module.encoder.register_forward_pre_hook(lambda _, inputs: self.inputs.append(inputs[0].clone()))

    @override
    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.losses.append(float(outputs["loss"]))


def fit(
    module: ContrastiveModule,
    folder: Path,
    validate: bool = False,
    watch: Callback | None = None,
    **options: Any,
) -> tuple[Trainer, Record]:
    record = Record()
    trainer = Trainer(
        accelerator="cpu",
        callbacks=[record] if watch is None else [record, watch],
        default_root_dir=folder,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        logger=False,
        **{"max_epochs": 1, "log_every_n_steps": 1, **options},
    )
    trainer.fit(module, loader(), loader() if validate else None)
    return trainer, record


def test_logs_every_figure_of_training_and_validation(tmp_path: Path) -> None:
    trainer, record = fit(small(), tmp_path, validate=True)
    figures = [
        "loss",
        "positive_similarity",
        "negative_similarity",
        "alignment",
        "uniformity",
        "effective_rank",
    ]
    expected = {f"{stage}/{figure}" for stage in ("train", "val") for figure in figures}
    assert expected <= set(trainer.logged_metrics)
    assert all(torch.isfinite(torch.as_tensor(trainer.logged_metrics[name])) for name in expected)
    assert len(record.losses) == STEPS


def test_learning_rate_of_each_step_is_the_schedule(tmp_path: Path) -> None:
    options = OptimizerOptions(learning_rate=0.01, warmup=0.25, floor=0.1)
    _, record = fit(small(optimizer=options), tmp_path, max_epochs=2)
    rate = WarmupCosine(3, 2 * STEPS, 0.1)
    assert record.rates == pytest.approx([0.01 * rate(step) for step in range(2 * STEPS)])


def test_a_run_without_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="set max_steps or max_epochs"):
        fit(small(), tmp_path, max_epochs=-1)


def test_training_learns(tmp_path: Path) -> None:
    options = OptimizerOptions(learning_rate=0.002)
    plain = {"geometry": Geometry(rotate_degrees=0, zoom=(1, 1)), "intensity": Intensity.none()}
    _, record = fit(small(optimizer=options, **plain), tmp_path, max_epochs=5)
    assert sum(record.losses[-3:]) < 0.7 * sum(record.losses[:3])


def test_augmentation_is_a_function_of_seed_and_step(tmp_path: Path) -> None:
    torch.manual_seed(1)
    first = fit(small(), tmp_path)[1]
    torch.manual_seed(2)
    again = fit(small(), tmp_path)[1]
    other = fit(small(seed=1), tmp_path)[1]
    assert first.losses == again.losses
    assert all(torch.equal(a, b) for a, b in zip(first.inputs, again.inputs, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first.inputs, other.inputs, strict=True))


def test_the_global_random_state_is_left_alone(tmp_path: Path) -> None:
    class Watch(Callback):
        @override
        def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
            self.before = torch.get_rng_state()

        @override
        def on_train_batch_end(
            self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
        ) -> None:
            assert torch.equal(torch.get_rng_state(), self.before)

    fit(small(intensity=Intensity(channel_dropout=0.5)), tmp_path, watch=Watch())


def test_steps_and_accumulated_batches_draw_anew(tmp_path: Path) -> None:
    module = small()
    drawn: list[float] = []
    module.augment.register_forward_pre_hook(
        lambda _, inputs: drawn.append(float(torch.rand(1, generator=inputs[1].clone_state())))
    )
    fit(module, tmp_path, accumulate_grad_batches=3)
    # two views per batch, one generator for both
    assert len(drawn) == len(set(drawn)) == 2 * STEPS


def test_validation_sees_the_centre_and_no_augmentation(tmp_path: Path) -> None:
    module = small(crop=(16, 16), intensity=Intensity(channel_dropout=1.0))
    record = fit(module, tmp_path, validate=True, num_sanity_val_steps=0)[1]
    training, validation = record.inputs[:STEPS], record.inputs[STEPS:]
    assert {tuple(views.shape) for views in record.inputs} == {(2 * CELLS, 2, 1, 16, 16)}
    for number, views in enumerate(validation):
        batch = Batches()[number]
        expected = torch.cat([batch["anchor"], batch["positive"]])[..., 4:20, 4:20]
        assert torch.equal(views, expected)
    # one of two channels always stays, the other is always dropped
    assert all((views.abs().amax(dim=(2, 3, 4)) == 0).sum(dim=1).eq(1).all() for views in training)


def test_lineages_are_no_negatives() -> None:
    module = small(loss=LossOptions(temperature=0.5)).eval()
    batch = Batches()[0]
    with torch.no_grad():
        first, second = module.encoder(torch.cat([batch["anchor"], batch["positive"]])).projection.chunk(2)
    expected = NTXentHCL(0.5)(first, second, lineage_ids=batch["lineage_ids"])
    module.log = lambda *_, **__: None  # type: ignore[method-assign]  # there is no trainer to log to
    module._weight = lambda *_: CELLS  # type: ignore[method-assign]
    torch.testing.assert_close(module.validation_step(batch, 0), expected)


def test_checkpoint_rebuilds_the_module_from_plain_values(tmp_path: Path) -> None:
    module = small(crop=(16, 16), loss=LossOptions(beta=1.0), geometry=Geometry(zoom=(0.8, 1.2)), seed=7)
    trainer, _ = fit(module, tmp_path)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    loaded = ContrastiveModule.load_from_checkpoint(tmp_path / "last.ckpt", weights_only=True)
    assert loaded.encoder.options == module.encoder.options
    assert loaded.augment.geometry == module.augment.geometry
    assert (loaded.crop, loaded.seed, loaded.loss.beta) == ((16, 16), 7, 1.0)
    patches = Batches()[0]["anchor"]
    torch.testing.assert_close(loaded.eval()(patches), module.eval()(patches))


def test_norms_and_biases_do_not_decay(tmp_path: Path) -> None:
    module = small(optimizer=OptimizerOptions(weight_decay=0.3))
    trainer, _ = fit(module, tmp_path)
    decayed, free = trainer.optimizers[0].param_groups
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.3, 0.0)
    assert all(weight.ndim > 1 for weight in decayed["params"])
    assert len(decayed["params"]) + len(free["params"]) == len(list(module.parameters()))


def test_loss_options_are_those_of_the_loss() -> None:
    parameters = inspect.signature(NTXentHCL).parameters
    assert asdict(LossOptions()) == {name: parameter.default for name, parameter in parameters.items()}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": 0.0}, r"learning_rate=0\.0"),
        ({"weight_decay": -1.0}, r"weight_decay=-1\.0"),
        ({"warmup": 1.0}, r"warmup=1\.0: a share of all steps"),
    ],
)
def test_optimizer_options_are_checked(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        OptimizerOptions(**options)
