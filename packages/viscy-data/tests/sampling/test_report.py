"""The report of composed epochs against counting by hand."""

import json
from collections import Counter
from typing import Any

import numpy as np
from hypothesis import given, settings
from sampling_cases import Case, cases, make_table, quiet_sampler


@settings(max_examples=25)
@given(case=cases())
def test_counts_are_those_of_the_batches(case: Case) -> None:
    sampler, reference = case.sampler(), case.reference()
    done: list[int] = []
    report = sampler.report(2, advance=done.append)
    batches = [list(batch) for _ in range(2) for batch in sampler]
    assert sum(done) == len(batches) == report.batches
    visits = Counter(row for batch in batches for row in batch)
    for i, group in enumerate(report.groups):
        for j, stratum in enumerate(report.strata):
            rows = reference.cells.get((group or "", stratum or ""), [])
            seen = [visits[row] for row in rows] or [0]
            assert (report.visits_least[i, j], report.visits_most[i, j]) == (min(seen), max(seen))
            assert report.by_time[i, j].sum() == sum(seen)
    assert report.repeats == sum(len(batch) - len(set(batch)) for batch in batches)
    assert report.batches_held.sum() == len(batches)
    if reference.is_telling():
        groups = Counter(reference.check_batch(batch, covers=False) for batch in batches)
        assert report.batches_held.tolist() == [groups[group or ""] for group in report.groups]
        leaked = sum(reference.leaked_count(len(batch)) for batch in batches)
        assert report.leak_held == leaked / len(batches)
    shares = reference.group_shares()
    for i, group in enumerate(report.groups):
        assert np.isclose(report.batches_asked[i], float(shares[group or ""] * len(batches)))
    json.dumps(report.to_dict())


def test_what_was_asked_and_held_agree_on_a_plain_table() -> None:
    table = make_table({(g, s): 200 for g in "ab" for s in "xy"})
    arguments: dict[str, Any] = {"batch_size": 10, "leaky": 0.2, "temporal_enrichment": True}
    report = quiet_sampler(table, **arguments, temporal_window_hours=1.0).report(3)
    assert (report.epochs, report.batches, report.batch_size, report.anchors) == (3, 240, 10, 800)
    assert (report.groups, report.strata) == (("a", "b"), ("x", "y"))
    assert report.leak_asked == report.leak_held == 2
    assert report.repeats == 0
    np.testing.assert_allclose(report.stratum_asked, 5)
    np.testing.assert_allclose(report.stratum_held, 5, atol=0.1)
    assert report.focal_asked == 0.7
    assert report.focal_held is not None
    assert abs(report.focal_held - 0.7) < 1e-9
    assert report.times is not None
    assert report.by_time.sum() == 2400
