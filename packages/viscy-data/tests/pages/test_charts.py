import numpy as np
import pytest

from viscy_data.pages.charts import Bar, Times, bars_chart, batches_chart, batches_keys
from viscy_data.pages.colours import PALETTE, shade
from viscy_data.pages.svg import ticks


@pytest.mark.parametrize("timed", [True, False])
def test_a_batch_has_a_box_for_each_cell_and_time_that_it_holds(timed: bool) -> None:
    cells = np.array([[[2, 0], [1, 1]], [[4, 0], [0, 0]]])
    times = Times(np.array([[3, 1], [0, 4]]), np.array([0.0, 1.0, 2.0])) if timed else None
    drawn = batches_chart(cells, times)
    assert drawn.count("<rect") == 4 + 3 * timed
    assert [drawn.count(shade(g, s, 2)) for g, s in ((0, 0), (0, 1), (1, 0), (1, 1))] == [2, 0, 1, 1]


@pytest.mark.parametrize(("unit", "lines"), [("", 0), ("patches/s", 1)])
def test_a_bar_has_a_mark_where_there_is_something_beside_it(unit: str, lines: int) -> None:
    bars = [Bar("a", 3.0, "3", PALETTE[0]), Bar("b", 1.0, "1", PALETTE[1], 2.0), Bar("c", 0.0, "0", "", 0.0)]
    drawn = bars_chart(bars, "label", unit=unit)
    assert drawn.count("<rect") == 2 + 2
    assert drawn.count("<polyline") == lines
    assert "<svg" in bars_chart([], "label", unit=unit)


def test_strata_are_named_where_there_is_one_group() -> None:
    assert batches_keys(["a", "b"], ["x", "y"]) == [(PALETTE[0], "a"), (PALETTE[1], "b")]
    assert [name for _, name in batches_keys(["a"], ["x", "y"])] == ["x", "y"]
    assert batches_keys(["a"], []) == [(PALETTE[0], "a")]


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 23), (-0.5, 0.2), (3, 3), (0, 1e6), (17.2, 17.9)])
def test_ticks_are_few_round_and_inside(low: float, high: float) -> None:
    found = ticks(low, high)
    assert 1 <= len(found) <= 8
    assert all(low <= one <= high for one in found)
    assert found == sorted(set(found))
