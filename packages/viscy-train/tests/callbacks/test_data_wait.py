"""Which spans of time count as waiting, on a clock of our own."""

from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest

from viscy_train.callbacks import DataWait, data_wait


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Module:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.logged: dict[str, list[float]] = defaultdict(list)
        self.on_bar: set[str] = set()

    def log(self, name: str, value: float, prog_bar: bool = False) -> None:
        self.logged[name].append(value)
        self.on_bar |= {name} if prog_bar else set()


BATCH = {"anchor": [0] * 6, "positive": [0] * 6}


class Run:
    """Steps of a training, on a clock that the test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, world_size: int = 1, **options: int) -> None:
        self.clock, self.module, self.callback = Clock(), Module(), DataWait(**options)
        monkeypatch.setattr(data_wait, "perf_counter", self.clock)
        self.trainer: Any = SimpleNamespace(world_size=world_size)
        self.given: Any = self.module

    def epoch(self) -> None:
        self.callback.on_train_epoch_start(self.trainer, self.given)

    def step(self, wait: float, work: float) -> None:
        self.clock.now += wait
        self.callback.on_train_batch_start(self.trainer, self.given, BATCH, 0)
        self.clock.now += work
        self.callback.on_train_batch_end(self.trainer, self.given, None, BATCH, 0)

    def validation(self, seconds: float) -> None:
        self.clock.now += seconds
        self.callback.on_validation_end(self.trainer, self.given)


def test_waiting_is_from_the_end_of_a_step_to_its_next_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(monkeypatch)
    run.clock.now += 7  # before the epoch: not waiting
    run.epoch()
    run.step(2, 5)
    run.step(1, 0)
    run.validation(50)
    run.step(3, 1)
    assert run.module.logged["train/data_wait"] == [2.0, 1.0, 3.0]
    assert (run.callback.seconds, run.callback.steps) == (6.0, 3)


def test_fraction_and_patches_are_of_waiting_and_working(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(monkeypatch, world_size=2)
    run.epoch()
    run.step(1, 3)
    run.step(3, 1)
    run.validation(50)
    run.step(0, 4)
    assert run.module.logged["train/data_wait_fraction"] == pytest.approx([1 / 4, 4 / 8, 4 / 12])
    assert run.module.logged["train/patches_per_second"] == pytest.approx([24 / 4, 48 / 8, 72 / 12])
    assert run.module.on_bar == {"train/data_wait_fraction", "train/patches_per_second"}


def test_only_the_last_steps_count(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(monkeypatch, window=2)
    run.epoch()
    for wait in (100.0, 1.0, 1.0):
        run.step(wait, 1)
    assert run.module.logged["train/data_wait_fraction"][-1] == 0.5
    assert run.module.logged["train/patches_per_second"][-1] == 24 / 4
