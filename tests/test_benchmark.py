"""Every contender of the benchmark does the job that it is listed for: its times compare like with like."""

import sys
from contextlib import nullcontext
from importlib import import_module
from io import StringIO
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

# The benchmark is not an installed package; its command finds these files beside itself.
sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))
jobs: Any = import_module("speed.jobs")
data_file: Any = import_module("speed.data")
case: Any = import_module("speed.case")
figures: Any = import_module("speed.figures")
plot: Any = import_module("speed.plot")
table: Any = import_module("speed.table")

MODULES = {"pytorch-metric-learning": "pytorch_metric_learning", "mosaicml-streaming": "streaming"}
BATCH = data_file.BATCH
LEAKED = round(0.1 * BATCH)


@pytest.fixture(scope="module")
def data() -> Any:
    return data_file.make_data(10_000, groups=4, classes=2, frames=48)


@pytest.fixture(params=jobs.ENTRIES, ids=lambda entry: entry.key)
def entry(request: pytest.FixtureRequest) -> Any:
    pytest.importorskip(MODULES.get(request.param.package, request.param.package.replace("-", "_")))
    return request.param


def build(entry: Any, data: Any) -> Any:
    return getattr(import_module(f"speed.{entry.file}"), entry.name)(data)


@pytest.fixture
def contender(entry: Any, data: Any) -> Any:
    return build(entry, data)


def rows_of(entry: Any, data: Any, batch: Any) -> Any:
    """Rows of a batch; Streaming counts samples stream by stream."""
    if entry.file != "mosaic":
        return np.asarray(batch)
    codes = data.class_codes if entry.job == jobs.BALANCED else data.group_codes
    return np.argsort(codes, kind="stable")[batch]


def test_batches_hold_what_the_job_asks(entry: Any, contender: Any, data: Any) -> None:
    whole = contender.whole()
    batches = [rows_of(entry, data, batch) for batch in islice(iter(whole), len(whole))]
    assert {len(batch) for batch in batches} == {BATCH}
    groups = np.array([np.bincount(data.group_codes[batch], minlength=4) for batch in batches])
    classes = np.array([np.bincount(data.class_codes[batch], minlength=2) for batch in batches])
    if entry.job == jobs.SHUFFLE:
        assert len(np.unique(batches)) == len(data) // BATCH * BATCH
    if entry.job == jobs.WEIGHTED:
        assert classes.sum(0) / classes.sum() == pytest.approx(data.class_weights, abs=0.02)
    if entry.job == jobs.MIX:
        assert groups.sum(0) / groups.sum() == pytest.approx(data.group_weights, abs=0.02)
    if entry.job in {jobs.GROUP, jobs.GROUP_BALANCED, jobs.FOCUS}:
        assert (groups.max(1) == BATCH).all()
    if entry.job in {jobs.LEAK, jobs.ALL}:
        assert (groups.max(1) == BATCH - LEAKED).all()
    if entry.job in {jobs.BALANCED, jobs.GROUP_BALANCED, jobs.LEAK, jobs.FOCUS, jobs.ALL}:
        assert (classes == BATCH // 2).all()


def test_a_pass_goes_on_where_its_state_was_taken(entry: Any, contender: Any, data: Any) -> None:
    if entry.file == "nodes":
        pytest.skip("the state's counts are set by hand: half an epoch would have to be drawn to get it")
    expected = next(islice(iter(contender.whole()), 7, None))
    assert list(next(build(entry, data).resume(contender.state(7)))) == list(expected)


def test_a_rank_has_its_part_of_the_batches(contender: Any) -> None:
    whole, own = len(contender.whole()), contender.own(8, 5)
    assert len(own) in {whole // 8, -(-whole // 8)}
    assert len(list(islice(iter(own), len(own)))) in {len(own), len(own) - 1}


def test_figures_of_a_case_that_was_ended_still_count() -> None:
    assert case.gather('{"a": 1}\nnoise\n{"b": 2}\n{"c"') == {"a": 1, "b": 2}


@pytest.mark.parametrize(("value", "other", "leading"), [(10, 10, True), (10.4, 10, True), (11, 10, False)])
def test_figures_within_five_per_cent_are_level(value: float, other: float, leading: bool) -> None:
    column = figures.Column("key", "title", 1, "us", 0.5)
    assert figures.leads(column, value, [other, 100]) is leading


def test_what_was_not_found_is_said_and_drawn(tmp_path: Path) -> None:
    ours = {"job": jobs.SHUFFLE, "sampler": "ours", "ours": True, "rows": 1000, "first_s": 0.004}
    rival = {**ours, "sampler": "torch RandomSampler", "ours": False, "first_s": 0.001}
    late = {
        **ours,
        "sampler": "grain shuffle",
        "ours": False,
        "note": "too slow: > 1 s",
        "too_slow": "batch_s",
    }
    shown = StringIO()
    table.show([ours, rival, late], Console(file=shown, width=250))
    plot.draw([ours, rival, late], tmp_path / "speed.json")
    assert "too slow: > 1 s" in shown.getvalue()
    assert "1e+03: 1.00 / 4.00" in shown.getvalue(), "a rival that leads is named with both figures"
    assert {path.suffix for path in tmp_path.iterdir()} == {".png", ".svg"}


@pytest.mark.parametrize("values", [[1000], [1e-3], [3, 7], [1000, 1000]])
def test_limits_of_an_axis_are_no_decades_of_their_own(values: list[float]) -> None:
    low, high = plot.around(values)
    assert low < min(values) <= max(values) < high


def test_a_contest_that_ours_leads_leaves_nothing_to_explain() -> None:
    ours = {"job": jobs.SHUFFLE, "sampler": "ours", "ours": True, "rows": 1000, "first_s": 0.001}
    assert table.behind([ours, {**ours, "sampler": "torch", "ours": False, "first_s": 0.01}]) == table.LEADS


def test_reports_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    report: Any = import_module("report")
    monkeypatch.setattr(
        report, "Peak", lambda: nullcontext(SimpleNamespace(peak=0))
    )  # the kernel's, on Linux
    found = report.measure(20_000, 4, 2, 48, 50)
    assert [one["plan"] for one in found] == list(report.PLANS)
    assert all(one["report_s"] > 0 for one in found)
