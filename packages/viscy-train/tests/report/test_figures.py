import zlib

import numpy as np
import pytest
from numpy.typing import NDArray

from viscy_data.pages.colours import CONDITIONS, PALETTE, UNKNOWN
from viscy_train.report.figures import (
    colours,
    drawing,
    drawn,
    legend_below,
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
    labels: Labels = {"experiment": (codes, ["a", "b"], PALETTE)}
    if known:
        labels["condition"] = (codes, ["x", "y"], CONDITIONS)
    maps = {"one": rng.random((30, 2)), "other": rng.random((30, 2))}
    width, height = size_of(maps_figure(maps, labels, (hours, "hours")))
    assert min(width, height) > 700


NAMES = ["[/red]", "$\\frac$", "_hidden", "\x1b[31mred", "<script>", "\u4e2d 😀", '"quoted"', "a" * 1000]


def test_names_of_any_kind_are_drawn_as_text() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, len(NAMES), 30)
    labels: Labels = {
        "experiment": (codes, NAMES, PALETTE),
        NAMES[1]: (codes, NAMES, ("#ff0000",)),
    }
    maps = {NAMES[1]: rng.random((30, 2)), NAMES[3]: rng.random((30, 2))}
    patches = rng.random((len(NAMES), 2, 8, 8))
    for png in (
        maps_figure(maps, labels, (rng.random(30), "hours")),
        patches_figure(patches, patches, NAMES, NAMES[:2]),
        loss_figure({name: np.ones(3) for name in NAMES[:3]}),
    ):
        assert min(size_of(png)) > 100


def test_a_legend_leaves_no_name_out() -> None:
    with drawing(5, 4) as figure:
        axes = figure.subplots()
        legend_below(axes, NAMES, PALETTE)
        told = axes.get_legend()
        assert told is not None
        assert [one.get_text() for one in told.get_texts()] == [drawn(name) for name in NAMES]
