"""Reading parts of an index: the same values as reading all of it, and nothing that was not asked for."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from index_cases import build, write_experiments

from viscy_data.composition.axes import Balance, Distinct, Focus, Grouping
from viscy_data.composition.plan import BatchPlan
from viscy_data.errors import InvalidInputError
from viscy_data.tables.anchors.read import AnchorsMetadata, read_anchors, read_metadata
from viscy_data.tables.anchors.row_groups import Categories, Numbers
from viscy_data.tables.anchors.write import write_anchors
from viscy_data.tables.positives import Positives

COLUMNS = ["experiment", "fov", "lineage_id"]
PLAN = BatchPlan(4, grouping=Grouping(["experiment", "fov"]), at_most=Distinct("lineage_id"))


@given(st.lists(st.lists(st.sampled_from(["a", "b", "cc", "", "é", "z", None])), min_size=1))
def test_strings_are_those_of_all_groups(groups: list[list[str | None]]) -> None:
    column = Categories(sum(map(len, groups)))
    for group in groups:
        # A group's dictionary may hold names that no row has.
        padded = pa.array([*group, "unused"], pa.string()).dictionary_encode()
        column.add(padded[:-1])
    rows = [value for group in groups for value in group]
    found = column.result()
    assert [None if pd.isna(value) else value for value in found] == rows
    names = [name for name in dict.fromkeys(rows) if name is not None]
    assert list(found.cat.categories) == sorted(names)


@given(st.lists(st.lists(st.one_of(st.none(), st.floats(-5, 5, width=32)))))
def test_numbers_are_those_of_all_groups(groups: list[list[float | None]]) -> None:
    column = Numbers(sum(map(len, groups)))
    for group in groups:
        column.add(pa.array(group, pa.float32()))
    expected = [np.nan if value is None else value for group in groups for value in group]
    np.testing.assert_array_equal(column.result().to_numpy(), expected)


@pytest.fixture
def path(tmp_path: Path, write_store: Any) -> Path:
    write_experiments(tmp_path, write_store)
    return build(tmp_path, statistics=False).anchors_path


def test_a_plan_gets_its_columns_of_the_valid_anchors(path: Path) -> None:
    everything, metadata = read_anchors(path), read_metadata(path)
    frames = {one.name: metadata.tau.in_frames(one) for one in metadata.experiments.experiments}
    valid = Positives(everything, frames).has_positive
    assert 0 < valid.sum() < len(valid)
    found = read_anchors(path, plan=PLAN)
    expected = everything.loc[valid, COLUMNS].reset_index(drop=True)
    pd.testing.assert_frame_equal(found.astype(str), expected.astype(str))
    assert (found.dtypes == "category").all()
    only = read_anchors(path, plan=PLAN, columns=["t"], experiments=["a"])
    assert only["t"].tolist() == everything.loc[valid & (everything["experiment"] == "a"), "t"].tolist()
    assert len(read_anchors(path, plan=BatchPlan(4))) == valid.sum()


def test_what_a_plan_does_not_need_is_not_read(path: Path) -> None:
    """Noise over the bytes of every other column changes nothing."""
    expected = read_anchors(path, plan=PLAN)
    content, metadata = bytearray(path.read_bytes()), pa_parquet.read_metadata(path)
    for i in range(metadata.num_row_groups):
        group = metadata.row_group(i)
        for column in (group.column(j) for j in range(group.num_columns)):
            if column.path_in_schema not in [*COLUMNS, "has_positive"]:
                pages = [column.data_page_offset, column.dictionary_page_offset]
                start = min(one for one in pages if one is not None)
                content[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    path.write_bytes(content)
    pd.testing.assert_frame_equal(read_anchors(path, plan=PLAN), expected)
    with pytest.raises(InvalidInputError, match=r"anchors\.parquet'.* cannot be read:"):
        read_anchors(path, columns=["y"])


def test_a_column_that_the_table_lacks_is_named(path: Path) -> None:
    with pytest.raises(InvalidInputError, match="columns='batch' is not in the table"):
        read_anchors(path, plan=BatchPlan(4, balance=Balance("batch")))


def test_a_table_that_does_not_say_what_is_valid_is_refused(path: Path, tmp_path: Path) -> None:
    metadata: AnchorsMetadata = read_metadata(path)
    write_anchors(tmp_path / "own.parquet", read_anchors(path), metadata)
    focus = BatchPlan(4, focus=Focus("hours_post_infection"))
    with pytest.raises(InvalidInputError, match="does not say which anchors have a positive; index again"):
        read_anchors(tmp_path / "own.parquet", plan=focus)
