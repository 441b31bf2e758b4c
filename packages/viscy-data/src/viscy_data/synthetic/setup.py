"""What one experiment, and one well, does to its cells and images: the batch effect, in its parts.

A model that knows the experiment may know its microscope, which is noise to a biologist, or its cell line,
which is biology. Where one number draws both, nobody can say which. So a setup holds them apart: the *cell
line* acts on cells before any image is made, the *microscope* on light after it, and either can be that of
another experiment (`setups_of`). Wells differ, too, by handling, density and staining, whatever was done to
them; what a model knows of that is no effect of a treatment (`in_well`).

Setups spread over their ranges by a low-discrepancy sequence, so that even three experiments lie far apart,
and experiment i of a seed is the same however many there are.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from viscy_data.synthetic.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    type Range = Callable[[float, float], float]

_INTERVAL_MINUTES: Final = (30.0, 45.0, 30.0, 60.0, 40.0)
_START_HPI: Final = (0.0, 1.0, 2.0, 0.0, 1.5)
_GOLDEN: Final = 0.6180339887498949
_WELL_SPREAD: Final = {"radius": 0.03, "nuclear_reporter": 0.1, "granularity": 0.1, "expression": 0.15}
"""Standard deviation, in natural logarithms, of what differs between wells of a plate."""


@dataclass(frozen=True)
class CellLine:
    """What cells are like before anything happens to them; the radius in pixels.

    ``nuclear_reporter`` is the reporter in the nucleus relative to the cytoplasm, ``granularity`` and
    ``expression`` (of the reporter) are relative to the usual cell.
    """

    radius: float
    nuclear_reporter: float
    granularity: float
    expression: float = 1.0


@dataclass(frozen=True)
class Microscope:
    """Optics in units of a cell's own signal, camera in counts, lengths in pixels."""

    blur: float
    halo_radius: float
    halo: float
    haze: float
    background_grain: float
    background_texture: float
    phase_level: float
    phase_contrast: float
    phase_photons: float
    reporter_offset: float
    reporter_gain: float
    reporter_photons: float
    autofluorescence: float
    read_noise: float
    vignette: float
    tilt: float
    tilt_angle: float


@dataclass(frozen=True)
class Setup:
    """One experiment: its clock, its cell line and its microscope."""

    name: str
    interval_minutes: float
    start_hpi: float
    line: CellLine
    microscope: Microscope

    def hours(self, frames: int) -> list[float]:
        """Return hours post infection of each frame."""
        return [self.start_hpi + t * self.interval_minutes / 60 for t in range(frames)]


def setups_of(recipe: Recipe) -> list[Setup]:
    """Return the setup of each experiment of a recipe.

    Examples
    --------
    >>> one, two = setups_of(Recipe(experiments=2, cell_lines="same"))
    >>> one.line == two.line, one.microscope == two.microscope
    (True, False)
    """
    setups = [make_setup(index, recipe.seed, recipe.microscope_effect) for index in range(recipe.experiments)]
    first = setups[0]
    if recipe.same_cells:
        return [replace(first, name=setup.name, microscope=setup.microscope) for setup in setups]
    if recipe.cell_lines == "same":
        return [replace(setup, line=first.line) for setup in setups]
    return setups


def in_well(line: CellLine, strength: float, rng: np.random.Generator) -> CellLine:
    """Return the cell line as it is in one well; ``strength`` 0 leaves it as it is.

    Examples
    --------
    >>> line = CellLine(14.0, 1.0, 1.0)
    >>> in_well(line, 0.0, np.random.default_rng(0)) == line
    True
    """
    factors = {name: float(np.exp(strength * rng.normal(0, spread))) for name, spread in _WELL_SPREAD.items()}
    return replace(line, **{name: getattr(line, name) * factor for name, factor in factors.items()})


def make_setup(index: int, seed: int, microscope_effect: float = 1.0) -> Setup:
    """Return experiment ``index`` (from 0) of a seed.

    Examples
    --------
    >>> make_setup(1, seed=0).name
    'synthetic_2'
    >>> alike = [make_setup(index, seed=0, microscope_effect=0.0) for index in range(2)]
    >>> alike[0].microscope == alike[1].microscope, alike[0].line == alike[1].line
    (True, False)
    """
    offsets = iter(np.random.default_rng([seed, 0x5E7]).random(32).tolist())
    between, ratio = _ranges(offsets, index, 1.0)
    line = CellLine(radius=between(13.0, 16.0), nuclear_reporter=ratio(0.8, 1.4), granularity=ratio(0.7, 1.4))
    between, ratio = _ranges(offsets, index, microscope_effect)
    return Setup(
        name=f"synthetic_{index + 1}",
        interval_minutes=_INTERVAL_MINUTES[index % len(_INTERVAL_MINUTES)],
        start_hpi=_START_HPI[index % len(_START_HPI)],
        line=line,
        microscope=Microscope(
            blur=between(0.7, 1.7),
            halo_radius=between(3.0, 7.0),
            halo=between(0.75, 1.0),
            haze=between(0.15, 0.5),
            background_grain=ratio(2.0, 9.0),
            background_texture=ratio(0.007, 0.03),
            phase_level=ratio(2500.0, 15000.0),
            phase_contrast=between(0.3, 0.55),
            phase_photons=ratio(500.0, 6000.0),
            reporter_offset=between(90.0, 420.0),
            reporter_gain=ratio(400.0, 5000.0),
            reporter_photons=ratio(40.0, 500.0),
            autofluorescence=between(0.04, 0.35),
            read_noise=between(3.0, 14.0),
            vignette=between(0.05, 0.5),
            tilt=between(0.0, 0.3),
            tilt_angle=between(0.0, 2 * np.pi),
        ),
    )


def _ranges(offsets: "Iterator[float]", index: int, spread: float) -> "tuple[Range, Range]":
    """Return what draws the next number of experiment ``index`` from a range, evenly or by its logarithm.

    ``spread`` is how much of a range, around its middle, experiments share between them.
    """

    def between(low: float, high: float) -> float:
        place = (next(offsets) + index * _GOLDEN) % 1.0
        return low + (high - low) * (spread * place + (1 - spread) / 2)

    def ratio(low: float, high: float) -> float:
        return float(np.exp(between(float(np.log(low)), float(np.log(high)))))

    return between, ratio
