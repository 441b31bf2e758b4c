"""Which spans of time count as waiting, on a clock of our own."""

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
        self.logged: list[tuple[str, float]] = []

    def log(self, name: str, value: float) -> None:
        self.logged.append((name, value))


def test_waiting_is_from_the_end_of_a_step_to_its_next_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(data_wait, "perf_counter", clock)
    callback, module = DataWait(), Module()
    trainer: Any = None
    given: Any = module

    clock.now += 7  # before the epoch: not waiting
    callback.on_train_epoch_start(trainer, given)
    clock.now += 2
    callback.on_train_batch_start(trainer, given, None, 0)
    clock.now += 5  # the step
    callback.on_train_batch_end(trainer, given, None, None, 0)
    clock.now += 1
    callback.on_train_batch_start(trainer, given, None, 1)
    callback.on_train_batch_end(trainer, given, None, None, 1)
    clock.now += 50  # validation
    callback.on_validation_end(trainer, given)
    clock.now += 3
    callback.on_train_batch_start(trainer, given, None, 2)

    assert module.logged == [("train/data_wait", 2.0), ("train/data_wait", 1.0), ("train/data_wait", 3.0)]
    assert (callback.seconds, callback.steps) == (6.0, 3)
