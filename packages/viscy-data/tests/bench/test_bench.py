"""The bench: what each setting reads, what is said of it, and that nothing of the user's is touched."""

import json
import tempfile
from hashlib import sha256
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from html_outline import Outline
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from viscy_data.bench import run
from viscy_data.bench.batches import frame_numbers, plan_batches
from viscy_data.bench.charts import rates_chart
from viscy_data.bench.measure import Case, Rate, stream
from viscy_data.bench.page import tell
from viscy_data.bench.result import Bench, Copied, Subject, Tried, compared
from viscy_data.bench.run import bench
from viscy_data.bench.settings import PRESENT, Setting, usual_settings
from viscy_data.bench.tables import advice_lines, settings_table
from viscy_data.columns import EXPERIMENT, FOV, T
from viscy_data.composition.axes import Grouping
from viscy_data.composition.plan import BatchPlan
from viscy_data.errors import StoreError
from viscy_data.indexing.run import build_index
from viscy_data.optimize.estimate import Estimate
from viscy_data.pages.page import render
from viscy_data.sampling.sampler import FlexibleBatchSampler
from viscy_data.synthetic.writing import synthesize
from viscy_data.tables.experiments import Experiments
from viscy_data.tables.tau import TauRange

IntArray = NDArray[np.int64]
PLAN = BatchPlan(16, grouping=Grouping(EXPERIMENT))


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("bench") / "play"
    path = synthesize(folder, experiments=2, wells=2, fovs=1, frames=6, cells=6, size=96, progress=False)
    anchors = folder / "anchors.parquet"
    build_index(path, anchors, patch_size=(32, 32), tau=TauRange(frames=(1, 2)), progress=False)
    return Case(anchors, Experiments.load(path), PLAN)


def rate(per_second: float) -> Rate:
    return Rate(patches=100, batches=4, wait=100 / per_second, step=0.0, frames=5.0)


def found(present: list[float], tried: dict[str, float], copied: float | None = None) -> Bench:
    rates = [rate(one) for one in present]
    subject = Subject(("a & b",), 1000, 16, (1, 32, 32), (1, 1, 1, 96, 96))
    sample = Estimate(8, 10**9, 10**8, 60.0, 50.0, 50.0 * (copied or 1), 10**12)
    return Bench(
        subject,
        tuple(rates),
        tuple(compared(Setting(name, "do <this>"), rate(one), rates[:2]) for name, one in tried.items()),
        {"too few": "a plan needs 12"},
        None if copied is None else Copied("s.zarr", sample),
        5.0,
        0.0,
        0.25,
    )


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.integers(0, 3)), min_size=1))
def test_frames_are_numbered_as_groups(keys: list[tuple[str, str, int]]) -> None:
    table = pd.DataFrame(keys, columns=[EXPERIMENT, FOV, T])
    expected = table.groupby([EXPERIMENT, FOV, T]).ngroup().to_numpy()
    assert np.array_equal(frame_numbers(table), expected)


@pytest.mark.parametrize("setting", [Setting("ahead", look_ahead=2), Setting("workers", workers=1)])
def test_every_way_of_reading_gives_the_plans_batches(case: Case, setting: Setting) -> None:
    with stream(case, setting, 3) as one:
        sampler = FlexibleBatchSampler.from_plan(one.valid_anchors, PLAN)
        plain = case.dataset(Setting(PRESENT))
        for positions, batch in islice(zip(plan_batches(sampler, 3), one.batches, strict=False), 4):
            expected = plain.__getitems__(positions)
            assert batch["positions"].tolist() == positions
            assert batch["positive"].numpy().tobytes() == expected["positive"].numpy().tobytes()


def test_a_measurement_counts_what_came(case: Case) -> None:
    with stream(case, Setting(PRESENT), 0) as one:
        measured = one.measure(0.05, step=0.001)
    assert measured.patches == 32 * measured.batches
    assert measured.per_second == pytest.approx(measured.patches / (measured.wait + 0.001 * measured.batches))
    assert 2 <= measured.frames <= 24
    with stream(case, Setting("few", frames=5, tau_per="frame"), 0) as few:
        frames = frame_numbers(few.valid_anchors)
        assert all(len(np.unique(frames[one["positions"].numpy()])) <= 5 for one in islice(few.batches, 6))


def test_a_bench_measures_all_and_touches_nothing(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = case.anchors.parent
    before = {path: sha256(path.read_bytes()).digest() for path in folder.rglob("*") if path.is_file()}
    usual = usual_settings(
        frames=6, hold=2, cache_bytes=1 << 20, look_ahead=1, workers=(0,), pixels=case.pixel_bytes()
    )
    tried = [*usual, Setting("impossible", cache_bytes=-1)]
    result = bench(case, tried, seconds=0.02, progress=False)
    assert [one.setting for one in result.tried] == usual
    assert "cache_bytes=-1" in result.refused["impossible"]
    assert len(result.present) == len(result.tried) + 1
    assert result.subject.patch == (1, 32, 32)
    assert result.subject.chunk == (1, 1, 1, 256, 256)
    assert result.copied is not None
    assert result.copied.gain > 0
    content = json.loads(json.dumps(result.to_dict()))
    assert [one["name"] for one in content["tried"]] == [one.name for one in usual]
    after = {path: sha256(path.read_bytes()).digest() for path in folder.rglob("*") if path.is_file()}
    assert after == before
    assert list(tmp_path.iterdir()) == []


def test_a_sample_that_cannot_be_taken_costs_no_figure(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise StoreError("no room")

    monkeypatch.setattr(run, "estimate", fail)
    result = bench(case, [], seconds=0.0, progress=False)
    assert result.copied is None
    assert result.refused == {"optimised stores": "no room"}
    assert result.per_second > 0


def test_all_pixels_are_counted(case: Case) -> None:
    channels = len(case.experiments.experiments[0].channels)
    assert case.pixel_bytes() == 2 * 2 * 6 * channels * 96 * 96 * 2


def test_advice_is_what_exceeds_the_noise_best_first() -> None:
    result = found([100, 130, 100], {"small": 140, "large": 500, "worse": 50, "some": 200}, copied=3.0)
    assert result.noise == pytest.approx(30 / 110)
    assert [one.name for one in result.advice()] == ["large", "optimised stores", "some"]
    assert result.expected == pytest.approx(330)
    lines = advice_lines(result)
    assert lines[0].startswith("1. large: x 4.3, 500 patches/s. do <this>")
    assert lines[-1] == "Not tried: too few: a plan needs 12"
    assert advice_lines(found([100, 100], {"same": 105}))[0].startswith("Nothing that was tried helps")


@pytest.mark.parametrize("copied", [None, 4.0])
def test_the_page_is_whole_and_fetches_nothing(copied: float | None) -> None:
    result = found([100, 120], {"a": 300, "b": 90}, copied)
    page = render(tell(result, PLAN))
    assert Outline(page).is_self_contained
    assert "a &amp; b" in page
    assert "do &lt;this&gt;" in page
    assert "a plan needs 12" in page
    rows = len(settings_table(result).rows)
    assert rates_chart(result).count("<rect") == rows + rows - 1  # a bar each, and a mark except on the first


def test_gain_is_over_the_rates_beside() -> None:
    tried: Tried = compared(Setting("x"), rate(300), [rate(100), rate(200)])
    assert tried.gain == pytest.approx(2.0)
