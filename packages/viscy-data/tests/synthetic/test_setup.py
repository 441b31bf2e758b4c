from dataclasses import astuple
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from viscy_data.errors import InvalidInputError
from viscy_data.synthetic.recipe import Recipe
from viscy_data.synthetic.setup import Microscope, in_well, make_setup, setups_of

RATIOS = {
    "background_grain",
    "background_texture",
    "phase_level",
    "phase_photons",
    "reporter_gain",
    "reporter_photons",
}
"""Numbers of a microscope that spread evenly by their logarithms."""


def test_one_cell_line_leaves_the_microscopes_apart() -> None:
    own, same = (setups_of(Recipe(experiments=4, cell_lines=lines)) for lines in ("own", "same"))
    assert len({setup.line for setup in own}) == 4
    assert {setup.line for setup in same} == {own[0].line}
    assert [setup.microscope for setup in own] == [setup.microscope for setup in same]


def test_wells_differ_by_the_effect_that_was_asked_for() -> None:
    line = make_setup(0, seed=0).line
    for strength in (0.0, 1.0, 2.0):
        radii = [in_well(line, strength, np.random.default_rng([7, well])).radius for well in range(400)]
        assert np.std(np.log(np.array(radii) / line.radius)) == pytest.approx(0.03 * strength, rel=0.15)


@pytest.mark.parametrize("seed", [0, 3])
def test_microscopes_lie_as_far_apart_as_was_asked_for(seed: int) -> None:
    """Halfway, each number lies halfway between the usual one and the one that all share at 0."""
    usual, half, none = (
        [astuple(make_setup(index, seed, effect).microscope) for index in range(4)]
        for effect in (1.0, 0.5, 0.0)
    )
    assert len(set(none)) == 1
    is_ratio = [name in RATIOS for name in Microscope.__dataclass_fields__]
    straight = [np.where(is_ratio, np.log(one), one) for one in (usual, half, none)]
    assert straight[1] == pytest.approx((straight[0] + straight[2]) / 2)
    assert [make_setup(index, seed, 0.0).line for index in range(4)] == [
        make_setup(index, seed).line for index in range(4)
    ]


@given(
    wells=st.integers(2, 40),
    share=st.floats(0, 1, exclude_min=True, exclude_max=True),
    index=st.integers(0, 9),
)
def test_the_share_of_infected_wells_is_the_nearest_that_leaves_both_conditions(
    wells: int, share: float, index: int
) -> None:
    named = Recipe(wells=wells, infected=share).condition_wells(index)
    infected, uninfected = len(named["infected"]), len(named["uninfected"])
    assert infected + uninfected == wells
    possible = [abs(count - wells * share) for count in range(1, wells)]
    assert infected > 0 < uninfected
    assert abs(infected - wells * share) == min(possible)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"well_effect": -0.1}, "well_effect=-0.1 must be from 0"),
        ({"well_effect": float("nan")}, "well_effect=nan must be from 0"),
        ({"microscope_effect": 1.01}, "microscope_effect=1.01 must be from 0, one for all, to 1"),
        ({"infected": 0}, "infected=0 must be a share of the wells, above 0 and below 1"),
        ({"infected": 1.0}, "infected=1.0 must be a share"),
        ({"cell_lines": "other"}, "cell_lines='other' must be 'own' or 'same'"),
        ({"same_cells": True, "samples": "channels"}, "same_cells=True shows the same channels"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Recipe(**options)
