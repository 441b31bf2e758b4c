from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viscy_data.tables.experiment import Experiment
from viscy_data.tables.experiments import Experiments
from viscy_train.demo.settings import DemoSettings
from viscy_train.demo.source import choose_tau, prepare


def experiments(intervals: list[float | None]) -> Experiments:
    return Experiments(
        experiments=tuple(
            Experiment(
                name=f"e{number}",
                data_path=Path("plate.zarr"),
                tracks_path=Path("tracks"),
                channels=("Phase",),
                interval_minutes=interval,
            )
            for number, interval in enumerate(intervals)
        )
    )


@given(st.lists(st.floats(0.5, 240), min_size=1, max_size=6), st.integers(1, 4))
def test_known_intervals_give_hours_that_every_experiment_can_meet(
    intervals: list[float], steps: int
) -> None:
    given_ = experiments([*intervals])
    tau = choose_tau(given_, steps)
    assert tau.hours is not None
    frames = [tau.in_frames(one) for one in given_.experiments]
    assert all(low == 1 <= high for low, high in frames)
    assert min(high for _, high in frames) == steps


@pytest.mark.parametrize("intervals", [[None], [30.0, None]])
def test_one_unknown_interval_gives_frames(intervals: list[float | None]) -> None:
    assert choose_tau(experiments(intervals), 2).frames == (1, 2)


def test_a_demo_says_in_one_line_what_is_wrong_with_its_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = {"experiments": 1, "wells": 2, "fovs": 1, "frames": 4, "cells": 6, "size": 96}
    settings = replace(DemoSettings.of(seed=0, minutes=1, smallest=True), synthetic=small)
    source = prepare(None, [], tmp_path, settings, progress=True)
    assert source.anchors_path.exists()
    assert capsys.readouterr().err.count("check: 0 problems") == 1
