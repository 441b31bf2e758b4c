from typing import Any

import numpy as np
import pytest

from viscy_data.errors import InvalidInputError
from viscy_data.synthetic.recipe import Recipe
from viscy_data.synthetic.setup import in_well, make_setup, setups_of


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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"well_effect": -0.1}, "well_effect=-0.1 must be from 0"),
        ({"well_effect": float("nan")}, "well_effect=nan must be from 0"),
        ({"cell_lines": "other"}, "cell_lines='other' must be 'own' or 'same'"),
        ({"same_cells": True, "samples": "channels"}, "same_cells=True shows the same channels"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Recipe(**options)
