"""Cells that move, grow, divide, differ and fall ill: what is true before any image is made.

A field of view at one frame is a structured array of dtype `CELL`, one element per cell. *trait*: what
a cell keeps for life and hands to its daughters with small changes (size, elongation, texture, reporter
level, how it responds to infection). *look*: what follows from traits, age and infection at one frame
and is what gets drawn (the fields from ``radius`` on). A mother's track ends in the frame before its
daughters' tracks start. Lengths in pixels, times in hours, angles in radians (x to y).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from viscy_data.columns import NO_PARENT
from viscy_data.synthetic.setup import Setup

GRANULES: Final = 48
HARMONICS: Final = (2, 3, 4, 5)

type Cells = NDArray[np.void]
"""The cells of one frame, of dtype `CELL`."""

CELL: Final = np.dtype(
    [
        ("track_id", "i4"),
        ("parent_track_id", "i4"),
        ("y", "f8"),
        ("x", "f8"),
        ("heading", "f8"),
        ("angle", "f8"),
        ("age", "f8"),
        ("cycle", "f8"),
        ("onset", "f8"),
        ("response", "f8"),
        ("base_radius", "f4"),
        ("base_elongation", "f4"),
        ("base_outline", "c8", (len(HARMONICS),)),
        ("granule_place", "f4", (GRANULES, 2)),
        ("granule_gain", "f4", (GRANULES,)),
        ("granule_radius", "f4"),
        ("granularity", "f4"),
        ("nucleus_place", "f4", (2,)),
        ("nucleus_fraction", "f4"),
        ("reporter", "f4"),
        ("radius", "f4"),
        ("elongation", "f4"),
        ("outline", "c8", (len(HARMONICS),)),
        ("phenotype", "f4"),
        ("mitosis", "f4"),
    ]
)
"""One cell in one frame."""

_SPEED: Final = 9.0
_PERSISTENCE_HOURS: Final = 1.5
_OUTLINE_HOURS: Final = 5.0
_MITOSIS_HOURS: Final = 0.6
_GROWTH_HOURS: Final = 7.0
_MARGIN: Final = 5.0


def simulate(
    setup: Setup, *, infected: bool, cells: int, frames: int, size: int, rng: np.random.Generator
) -> list[Cells]:
    """Return the cells of each frame of one field of view.

    Parameters
    ----------
    setup
        The experiment, its cell line as it is in the well.
    infected
        Whether a phenotype appears and grows with hours post infection.
    cells
        Number of cells in the first frame.
    frames, size
        Number of frames; height and width in pixels.
    rng
        The whole movie is a function of its state.
    """
    step = setup.interval_minutes / 60
    now = _founders(setup, cells, size, infected, rng)
    movie, last_id = [], cells
    for hours in setup.hours(frames):
        show(now, hours)
        movie.append(now.copy())
        now = _divide(now, step, last_id, rng)
        last_id = max(last_id, int(now["track_id"].max()))
        _move(now, step, size, rng)
    return movie


def phenotype(hours: float, onset: NDArray[np.float64], response: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far the phenotype has come: 0 before ``onset`` hours, growing to ``response``.

    Examples
    --------
    >>> phenotype(5.5, np.array([2.0, 9.0]), np.array([1.0, 1.0]))
    array([0.5, 0. ])
    """
    progress = np.clip((hours - onset) / _GROWTH_HOURS, 0, 1)
    return response * progress**2 * (3 - 2 * progress)


def show(cells: Cells, hours: float) -> None:
    """Set how the cells look at ``hours`` post infection: they grow, round up to divide, and fall ill."""
    ill = phenotype(hours, cells["onset"], cells["response"])
    before = np.clip(1 - (cells["cycle"] - cells["age"]) / _MITOSIS_HOURS, 0, 1)
    after = np.where(
        cells["parent_track_id"] == NO_PARENT, 0, np.clip(1 - cells["age"] / _MITOSIS_HOURS, 0, 1)
    )
    rounding = np.maximum(before, after)
    tension = (1 - 0.65 * ill) * (1 - 0.85 * rounding)
    growth = np.sqrt((1 + cells["age"] / cells["cycle"]) / 1.5)
    cells["phenotype"] = ill
    cells["mitosis"] = rounding
    cells["radius"] = cells["base_radius"] * growth * (1 - 0.15 * rounding) * (1 + 0.06 * ill)
    cells["elongation"] = 1 + (cells["base_elongation"] - 1) * tension
    cells["outline"] = cells["base_outline"] * tension[:, None]


def _founders(setup: Setup, count: int, size: int, infected: bool, rng: np.random.Generator) -> Cells:
    cells = np.zeros(count, CELL)
    cells["track_id"] = np.arange(1, count + 1)
    cells["parent_track_id"] = NO_PARENT
    cells["y"], cells["x"] = _scatter(count, size, rng).T
    cells["heading"] = rng.uniform(-np.pi, np.pi, count)
    cells["angle"] = cells["heading"]
    cells["cycle"] = _cycle(count, rng)
    cells["age"] = cells["cycle"] * rng.random(count) ** 1.3 * 0.97
    cells["onset"] = 1.0 + rng.gamma(2.0, 0.8, count) if infected else np.inf
    cells["response"] = np.clip(rng.normal(0.85, 0.15, count), 0.4, 1.15)
    cells["base_radius"] = setup.line.radius * np.exp(rng.normal(0, 0.08, count))
    cells["base_elongation"] = np.clip(1 + np.abs(rng.normal(0.65, 0.35, count)), 1.05, 2.3)
    cells["base_outline"] = _outlines(count, rng)
    _set_texture(cells, setup, rng)
    return cells


def _set_texture(cells: Cells, setup: Setup, rng: np.random.Generator) -> None:
    count = len(cells)
    cells["granule_place"] = _in_disc(count, rng)
    cells["granule_gain"] = rng.normal(0, 1, (count, GRANULES))
    cells["granule_radius"] = np.clip(np.exp(rng.normal(0.35, 0.2, count)), 1.0, 2.2)
    cells["granularity"] = setup.line.granularity * np.exp(rng.normal(0, 0.25, count))
    cells["nucleus_place"] = rng.normal(0, 0.1, (count, 2))
    cells["nucleus_fraction"] = np.clip(rng.normal(0.45, 0.03, count), 0.36, 0.54)
    cells["reporter"] = setup.line.expression * np.exp(rng.normal(0, 0.3, count))


def _scatter(count: int, size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    # Each cell takes the emptiest of twelve places (Mitchell 1991): cells seldom start overlapping.
    places = rng.uniform(_MARGIN, size - 1 - _MARGIN, (1, 2))
    for _ in range(count - 1):
        offered = rng.uniform(_MARGIN, size - 1 - _MARGIN, (12, 2))
        nearest = ((offered[:, None] - places) ** 2).sum(-1).min(axis=1)
        places = np.vstack([places, offered[nearest.argmax()]])
    return places


def _in_disc(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    radius, turn = np.sqrt(rng.random((count, GRANULES))) * 0.88, rng.uniform(0, 2 * np.pi, (count, GRANULES))
    return np.stack([radius * np.sin(turn), radius * np.cos(turn)], axis=-1)


def _outlines(count: int, rng: np.random.Generator) -> NDArray[np.complex128]:
    shape = (count, len(HARMONICS))
    spread = 0.22 / np.array(HARMONICS, np.float64)
    return np.asarray(rng.normal(0, spread, shape) + 1j * rng.normal(0, spread, shape), np.complex128)


def _cycle(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    return np.clip(rng.normal(18, 3, count), 10, 28)


def _divide(cells: Cells, step: float, last_id: int, rng: np.random.Generator) -> Cells:
    """Age the cells by ``step`` hours; replace those whose cycle ends by two daughters each."""
    cells = cells.copy()
    cells["age"] += step * (1 - 0.6 * cells["phenotype"])
    due = cells["age"] >= cells["cycle"]
    mothers = cells[due]
    if not len(mothers):
        return cells
    daughters = np.concatenate([_daughters(mothers, side, rng) for side in (-1, 1)])
    daughters["track_id"] = last_id + 1 + np.arange(len(daughters))
    return np.concatenate([cells[~due], daughters])


def _daughters(mothers: Cells, side: int, rng: np.random.Generator) -> Cells:
    count = len(mothers)
    new = mothers.copy()
    new["parent_track_id"] = mothers["track_id"]
    new["y"] += side * 0.7 * mothers["radius"] * np.sin(mothers["angle"])
    new["x"] += side * 0.7 * mothers["radius"] * np.cos(mothers["angle"])
    new["heading"] = mothers["angle"] + (0 if side > 0 else np.pi)
    new["age"] = 0.0
    new["cycle"] = _cycle(count, rng)
    for trait, spread in (
        ("base_radius", 0.03),
        ("granularity", 0.08),
        ("reporter", 0.1),
        ("response", 0.05),
    ):
        new[trait] *= np.exp(rng.normal(0, spread, count))
    new["base_elongation"] = np.clip(mothers["base_elongation"] + rng.normal(0, 0.1, count), 1.05, 2.3)
    new["base_outline"] = 0.6 * mothers["base_outline"] + 0.8 * _outlines(count, rng)
    new["granule_place"] = _in_disc(count, rng)
    new["nucleus_place"] = rng.normal(0, 0.1, (count, 2))
    return new


def _move(cells: Cells, step: float, size: int, rng: np.random.Generator) -> None:
    """Walk persistently, turn the long axis towards the heading, keep apart and inside; in place."""
    count = len(cells)
    cells["heading"] += rng.normal(0, np.sqrt(step / _PERSISTENCE_HOURS), count)
    pace = (
        _SPEED
        * step
        * rng.gamma(4, 0.25, count)
        * (1 - 0.4 * cells["phenotype"])
        * (1 - 0.8 * cells["mitosis"])
    )
    cells["y"] += pace * np.sin(cells["heading"])
    cells["x"] += pace * np.cos(cells["heading"])
    off_axis = (cells["heading"] - cells["angle"] + np.pi / 2) % np.pi - np.pi / 2
    cells["angle"] += off_axis * (1 - np.exp(-step / 2.0))
    for _ in range(3):
        _keep_apart(cells)
    _reflect(cells, size)
    _drift(cells, step, rng)


def _keep_apart(cells: Cells) -> None:
    place = np.stack([cells["y"], cells["x"]], axis=1)
    gap = place[:, None] - place
    distance = np.sqrt((gap**2).sum(-1)) + 1e-9
    reach = 0.95 * (cells["radius"][:, None] + cells["radius"])
    push = np.clip(reach - distance, 0, None) * 0.25
    np.fill_diagonal(push, 0)
    shift = (gap / distance[..., None] * push[..., None]).sum(axis=1)
    cells["y"] += shift[:, 0]
    cells["x"] += shift[:, 1]


def _reflect(cells: Cells, size: int) -> None:
    low, high = _MARGIN, size - 1 - _MARGIN
    sine, cosine = np.sin(cells["heading"]), np.cos(cells["heading"])
    for axis, part in (("y", sine), ("x", cosine)):
        part[(cells[axis] < low) | (cells[axis] > high)] *= -1
        cells[axis] = np.clip(np.where(cells[axis] < low, 2 * low - cells[axis], cells[axis]), low, None)
        cells[axis] = np.clip(np.where(cells[axis] > high, 2 * high - cells[axis], cells[axis]), low, high)
    cells["heading"] = np.arctan2(sine, cosine)


def _drift(cells: Cells, step: float, rng: np.random.Generator) -> None:
    """Let outlines and granules wander slowly, so that a cell stays recognisable between frames."""
    count = len(cells)
    keep = np.exp(-step / _OUTLINE_HOURS)
    cells["base_outline"] = keep * cells["base_outline"] + np.sqrt(1 - keep**2) * _outlines(count, rng)
    cells["granule_place"] += rng.normal(0, 0.05 * np.sqrt(step), (count, GRANULES, 2))
    distance = np.sqrt((cells["granule_place"] ** 2).sum(-1, keepdims=True))
    cells["granule_place"] *= np.minimum(1, 0.9 / np.maximum(distance, 1e-6))
    cells["nucleus_place"] = 0.9 * cells["nucleus_place"] + rng.normal(0, 0.03, (count, 2))
