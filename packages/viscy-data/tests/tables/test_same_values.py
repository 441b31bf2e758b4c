from collections import Counter
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from viscy_data.errors import InvalidInputError
from viscy_data.tables.same_values import SameValuePositives


def oracle(table: pd.DataFrame, by: list[str], within: str | None, parts: list[int]) -> list[set[int]]:
    """Compare every row with every other one."""
    names = [*by, *([within] if within else []), *(["marker"] if "marker" in table else [])]
    values = table[names].astype(object).to_numpy().tolist()
    cells = table[["experiment", "well", "fov", "track_id"]].astype(object).to_numpy().tolist()

    def alike(i: int, j: int) -> bool:
        known = not any(pd.isna(value) for value in values[i])
        return known and values[i] == values[j] and cells[i] != cells[j] and parts[i] == parts[j]

    rows = range(len(table))
    return [{j for j in rows if alike(i, j)} for i in rows]


@st.composite
def screens(draw: st.DrawFn) -> pd.DataFrame:
    """Shuffled tables of few cells in several frames, with values of several types, some not known."""
    count = draw(st.integers(1, 14))
    some: dict[str, Any] = {
        "experiment": st.sampled_from("ab"),
        "well": st.sampled_from(["A/1", "A/2"]),
        "fov": st.sampled_from("01"),
        "track_id": st.integers(-1, 3),
        "t": st.integers(0, 2),
        "gene": st.sampled_from(["TP53", "MYC", None]),
        "dose": st.sampled_from([0.0, 1.5, float("nan")]),
        "plate": st.integers(-1, 1),
    }
    if draw(st.booleans()):
        some["marker"] = st.sampled_from(["phase", "SEC61"])
    columns = {name: draw(st.lists(one, min_size=count, max_size=count)) for name, one in some.items()}
    table = pd.DataFrame(columns).iloc[draw(st.permutations(range(count)))]
    if draw(st.booleans()):
        table = table.astype(dict.fromkeys(("experiment", "well", "fov", "gene"), "category"))
        table["gene"] = table["gene"].cat.add_categories(["unused"])
    return table


@settings(deadline=None, max_examples=100)
@given(
    table=screens(),
    by=st.lists(st.sampled_from(["gene", "dose", "plate", "t", "experiment"]), min_size=1, unique=True),
    within=st.sampled_from(["experiment", None]),
    split=st.sampled_from([1, 2]),
)
def test_exactly_the_allowed_rows_are_drawn(
    table: pd.DataFrame, by: list[str], within: Literal["experiment"] | None, split: int
) -> None:
    """An anchor that fills a batch goes through its candidates: each once, and no other row."""
    parts = np.arange(len(table)) % split
    expected = oracle(table, by, within, parts.tolist())
    positives = SameValuePositives(table, by, within=within, parts=parts if split > 1 else None)
    assert positives.has_positive.tolist() == [bool(candidates) for candidates in expected]
    for row, allowed in enumerate(expected):
        if allowed:
            drawn = positives.draw(np.full(2 * len(allowed), row), epoch=1, number=row)
            assert sorted(drawn[: len(allowed)]) == sorted(allowed)
            assert sorted(drawn) == sorted([*allowed, *allowed])


def screen(cells: int, genes: int, frames: int = 1) -> pd.DataFrame:
    track = np.repeat(np.arange(cells), frames)
    return pd.DataFrame(
        {
            "experiment": "a",
            "fov": "A/1/0",
            "track_id": track,
            "t": np.tile(np.arange(frames), cells),
            "gene": track % genes,
        }
    )


def test_other_cells_are_drawn_evenly_and_all_of_them() -> None:
    """Over many batches each row of the other cells comes as often as any."""
    positives = SameValuePositives(screen(20, 2, frames=2), ["gene"])
    drawn = np.concatenate(
        [
            positives.draw(np.full(4, 7), epoch=epoch, number=number)
            for epoch in range(20)
            for number in range(50)
        ]
    )
    counts = Counter(drawn.tolist())
    expected = {row for row in range(40) if (row // 2) % 2 == 1 and row // 2 != 3}
    assert set(counts) == expected
    each = len(drawn) / len(expected)
    chi_square = sum((count - each) ** 2 / each for count in counts.values())
    freedom = len(expected) - 1
    assert chi_square < freedom + 4 * (2 * freedom) ** 0.5


def test_a_draw_is_a_function_of_seed_epoch_number_and_place() -> None:
    table = screen(300, 3)
    positives = SameValuePositives(table, ["gene"], seed=5)
    rows = np.array([3, 9, 3, 40, 17, 9, 3])
    whole = positives.draw(rows, epoch=2, number=7)
    assert len(set(whole[[0, 2, 6]])) == 3, "an anchor that occurs again takes another cell"
    places = np.array([1, 3, 4])
    np.testing.assert_array_equal(
        positives.draw(rows[places], epoch=2, number=7, places=places), whole[places]
    )
    again = SameValuePositives(table, ["gene"], seed=5).draw(rows, epoch=2, number=7)
    np.testing.assert_array_equal(again, whole)
    for other in (
        positives.draw(rows, epoch=3, number=7),
        positives.draw(rows, epoch=2, number=8),
        positives.draw(rows, epoch=2, number=7, places=np.arange(1, 8)),
        SameValuePositives(table, ["gene"], seed=6).draw(rows, epoch=2, number=7),
    ):
        assert other.tolist() != whole.tolist()


def test_an_empty_table_and_one_of_unknown_values_have_no_positive() -> None:
    assert SameValuePositives(screen(0, 1), ["gene"]).has_positive.tolist() == []
    unknown = screen(3, 1).assign(gene=None)
    assert SameValuePositives(unknown, ["gene"]).has_positive.tolist() == [False] * 3


def test_any_number_of_parts_stay_apart() -> None:
    table = screen(cells=600, genes=1)
    parts = np.arange(600) // 2
    positives = SameValuePositives(table, ["gene"], parts=parts)
    rows = np.arange(600)
    assert parts[positives.draw(rows, epoch=0, number=0)].tolist() == parts.tolist()


def test_refusals() -> None:
    table = screen(4, 2)
    with pytest.raises(InvalidInputError, match=r"by='genes' is not a column .* Did you mean 'gene'"):
        SameValuePositives(table, ["genes"])
    with pytest.raises(InvalidInputError, match="to tell cells apart the columns fov are needed"):
        SameValuePositives(table.drop(columns="fov"), ["gene"])
    positives = SameValuePositives(table.assign(gene=[1, 1, 2, 3]), ["gene"])
    with pytest.raises(InvalidInputError, match=r"rows=2 has no positive \(1 of 2\)"):
        positives.draw(np.array([0, 2]), epoch=0, number=0)
    with pytest.raises(InvalidInputError, match=r"rows=4: the table has rows 0 .. 3"):
        positives.draw(np.array([4]), epoch=0, number=0)
