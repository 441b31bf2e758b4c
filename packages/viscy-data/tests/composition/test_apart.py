"""What may not come together, against a loop that admits anchors one by one."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from viscy_data.composition import keyed
from viscy_data.composition.apart import Origins, Rule, over_cap, put_apart
from viscy_data.composition.ranges import Ranges

Integers = NDArray[np.int64]


def admitted_one_by_one(
    rules: list[tuple[Integers, int, float | None]],
    hours: NDArray[np.float64],
    unit: list[int],
    place: list[int],
) -> list[bool]:
    """Return which anchors stay: those that no rule forbids beside the ones that stayed before."""
    kept: list[tuple[int, int]] = []
    found = []
    for mine, at in zip(unit, place, strict=True):
        stays = True
        for code, count, apart in rules:
            others = [
                one
                for other, one in kept
                if other == mine
                and code[one] == code[at]
                and (apart is None or abs(hours[one] - hours[at]) < apart)
            ]
            stays &= len(others) < count
        if stays:
            kept.append((mine, at))
        found.append(stays)
    return found


@settings(max_examples=120)
@given(data=st.data(), anchors=st.integers(1, 30), drawn=st.integers(1, 40))
def test_the_first_stay_and_others_come_from_their_own_ranges(
    data: st.DataObject, anchors: int, drawn: int
) -> None:
    def listed(strategy: st.SearchStrategy[int], count: int) -> list[int]:
        return data.draw(st.lists(strategy, min_size=count, max_size=count))

    hours = 0.5 * np.array(listed(st.integers(0, 9), anchors))
    unit = sorted(listed(st.integers(0, 2), drawn))
    place = np.array(listed(st.integers(0, anchors - 1), drawn))
    kinds: list[tuple[Integers, int, float | None]] = [
        (
            np.array(listed(st.integers(0, 6), anchors)),
            data.draw(st.integers(1, 3)),
            data.draw(st.sampled_from([None, 1.0, 2.5])),
        )
        for _ in range(data.draw(st.integers(1, 2)))
    ]
    rules = [
        Rule(code.__getitem__, count)
        if apart is None
        else Rule(code.__getitem__, count, hours.__getitem__, apart)
        for code, count, apart in kinds
    ]
    low = np.maximum(place - 3, 0)
    high = np.minimum(place + 4, anchors)

    def origins(which: Integers) -> Origins:
        return Origins(Ranges.whole(low[which], high[which]), keyed.words(5, which))

    units = np.array(unit)
    stays = admitted_one_by_one(kinds, hours, unit, place.tolist())
    redrawn = put_apart(rules, units, place, origins)
    assert ((redrawn >= low) & (redrawn < high)).all()
    if all(stays):
        assert np.array_equal(redrawn, place)
    for number, rule in enumerate(rules):
        alone = admitted_one_by_one(kinds[number : number + 1], hours, unit, place.tolist())
        assert over_cap(rule, units, place) == alone.count(False)
    if all(count == 1 or apart is None for _, count, apart in kinds):
        left = admitted_one_by_one(kinds, hours, unit, redrawn.tolist()).count(False)
        assert left <= stays.count(False)
        # a single conflict whose range holds something that fits is gone
        if stays.count(False) == 1:
            at = stays.index(False)
            others = np.delete(place, at)[np.delete(units, at) == units[at]].tolist()
            free = [
                candidate
                for candidate in range(int(low[at]), int(high[at]))
                if admitted_one_by_one(kinds, hours, [0] * (len(others) + 1), [*others, candidate])[-1]
            ]
            assert left == 0 or not free


def test_one_anchor_in_the_way_moves() -> None:
    """Value 0 is drawn from a range that holds 1, too, and is all that the other range holds."""
    code = np.array([0, 1, 0])
    low, high = np.array([0, 2]), np.array([2, 3])

    def origins(which: Integers) -> Origins:
        return Origins(Ranges.whole(low[which], high[which]), keyed.words(5, which))

    found = put_apart([Rule(code.__getitem__)], np.array([0, 0]), np.array([0, 2]), origins)
    assert found.tolist() == [1, 2]
