"""How many batches an epoch has, and how many anchors each of them."""

from collections import Counter

import pytest
from contract_reference import broken_promises
from contract_tables import batches_of, epoch_of, flat_sampler, sampler_of, table_of
from hypothesis import given, settings
from hypothesis import strategies as st

from viscy_data import Balance, BatchPlan, Focus, Grouping, InvalidInputError


@settings(derandomize=True, max_examples=60)
@given(count=st.integers(1, 60), batch_size=st.integers(1, 70), span=st.integers(1, 4))
def test_a_rest_is_left_out_or_is_one_smaller_batch(count: int, batch_size: int, span: int) -> None:
    table = table_of({("a", "x"): count})
    plan = BatchPlan(batch_size, span=span)
    whole = sampler_of(table, plan, drop_last=False)
    assert len(whole) == whole.batches_per_epoch == -(-count // batch_size)
    sizes = [len(batch) for batch in epoch_of(whole, 1)]
    assert sizes[:-1] == [batch_size] * (len(whole) - 1)
    assert sum(sizes) == count
    if count < batch_size:
        with pytest.raises(InvalidInputError, match=rf"batch_size={batch_size}.*{count}.*drop_last"):
            sampler_of(table, plan)
    else:
        cut = sampler_of(table, plan)
        assert len(cut) == cut.batches_per_epoch == count // batch_size
        assert {len(batch) for batch in epoch_of(cut, 1)} == {batch_size}


@pytest.mark.parametrize("rest", [1, 2, 5])
def test_the_smaller_batch_has_shares_of_its_own_size(rest: int) -> None:
    """Leak, balance and focus are rounded for so many anchors, not for a whole batch."""
    table = table_of({("a", "x"): 40, ("a", "y"): 40, ("b", "x"): 40, ("b", "y"): 36 + rest})
    plan = BatchPlan(
        12,
        grouping=Grouping("experiment", leak=0.25),
        balance=Balance("condition", ratio={"x": 2, "y": 1}),
        focus=Focus("hours_post_infection", window_hours=1.0, global_fraction=0.5),
    )
    sampler = sampler_of(table, plan, drop_last=False)
    last = [batch for batch in batches_of(sampler, range(6)) if batch[1] == 13]
    assert {len(rows) for _, _, rows in last} == {rest}
    assert broken_promises(table, plan, last, drop_last=False) == []
    leaked = {min(Counter(table["experiment"].iloc[rows]).values(), default=0) for _, _, rows in last}
    assert leaked == ({rest} if rest < 3 else {1})


def test_integers_of_numpy_do() -> None:
    import numpy as np

    table = table_of({("a", "x"): 20})
    size: list[object] = [np.int32(5), np.uint8(5), np.int64(5)]
    assert [len(flat_sampler(table, batch_size=one, seed=np.int64(0))) for one in size] == [4, 4, 4]
