import zlib

import numpy as np
import pytest
from numpy.typing import NDArray

from viscy_train.report.figures import (
    CONDITION_COLOURS,
    EXPERIMENT_COLOURS,
    UNKNOWN,
    colours,
    loss_figure,
    maps_figure,
    patches_figure,
)

type Labels = dict[str, tuple[NDArray[np.int64], list[str], tuple[str, ...]]]


def size_of(png: bytes) -> tuple[int, int]:
    """Return width and height from the header, whose checksum must hold."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert zlib.crc32(png[12:29]) == int.from_bytes(png[29:33])
    return int.from_bytes(png[16:20]), int.from_bytes(png[20:24])


def test_codes_take_their_colour_round_the_palette_and_unknown_is_grey() -> None:
    red, grey = colours(np.array([0]), ["#ff0000"])[0], colours(np.array([-1]), [UNKNOWN])[0]
    shown = colours(np.array([0, 2, -1]), ["#ff0000", "#00ff00"])
    assert np.array_equal(shown, [red, red, grey])


@pytest.mark.parametrize("steps", [1, 7, 200])
def test_losses_of_any_length_are_drawn(steps: int) -> None:
    assert size_of(loss_figure({"a": np.linspace(5, 1, steps), "b": np.ones(steps)}))[0] > 1000


@pytest.mark.parametrize(("cells", "channels"), [(1, 1), (10, 2), (4, 3)])
def test_patches_of_any_number_are_drawn(cells: int, channels: int) -> None:
    patches = np.random.default_rng(0).random((cells, channels, 8, 8))
    patches[0, 0] = 0.5  # a flat patch has no contrast to stretch
    names, kinds = [f"cell {i}" for i in range(cells)], [f"channel {i}" for i in range(channels)]
    assert size_of(patches_figure(patches, patches, names, kinds))[0] > 1000


@pytest.mark.parametrize("known", [True, False])
def test_maps_are_drawn_with_and_without_labels(known: bool) -> None:
    rng = np.random.default_rng(0)
    codes, hours = rng.integers(0, 2, 30), rng.random(30)
    if not known:
        codes[:5] = -1
        hours[:5] = np.nan
    labels: Labels = {"experiment": (codes, ["a", "b"], EXPERIMENT_COLOURS)}
    if known:
        labels["condition"] = (codes, ["x", "y"], CONDITION_COLOURS)
    maps = {"one": rng.random((30, 2)), "other": rng.random((30, 2))}
    width, height = size_of(maps_figure(maps, labels, (hours, "hours")))
    assert min(width, height) > 700
