"""What to synthesise, and what each experiment's microscope and cell line are like.

*recipe*: the counts that the user chooses. *setup*: what one experiment does to every image of it, its
batch effect. Setups spread over their ranges by a low-discrepancy sequence, so that even three
experiments lie far apart, and experiment i of a seed is the same however many there are.

*design*: few wells of a plate are infected, and not equally many on each plate: one to three in eight,
a fifth of all wells, the same on every seed. This is the case that balancing conditions is for: a batch
drawn at random holds few infected cells, and what tells experiments apart tells something about the
condition, too. Where every plate is half infected, there is little to balance.

*markers*: what a channel shows. By default all plates have the same two channels. Plates of a set whose rows
are channels (``samples="channels"``) differ in number, names and markers of theirs, as those of real projects
do; one name does not even show the same everywhere.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np

from viscy_data.checks import check_integer
from viscy_data.errors import InvalidInputError
from viscy_data.tables.experiment_fields import SAMPLES, Samples

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PHASE: Final = "phase"
REPORTER: Final = "reporter"
NUCLEUS: Final = "nucleus"
CHANNELS: "Final[Mapping[str, str]]" = MappingProxyType({"Phase3D": PHASE, "RFP": REPORTER})
"""What each channel of a plate shows."""
PIXEL_SIZE_UM: Final = 0.65
UNINFECTED: Final = "uninfected"
INFECTED: Final = "infected"

_INTERVAL_MINUTES: Final = (30.0, 45.0, 30.0, 60.0, 40.0)
_START_HPI: Final = (0.0, 1.0, 2.0, 0.0, 1.5)
_INFECTED_SHARE: Final = (1 / 8, 2 / 8, 1 / 8, 3 / 8, 1 / 8)
_UNLIKE_CHANNELS: Final = (
    CHANNELS,
    MappingProxyType({"BF": PHASE, "GFP": NUCLEUS, "mCherry": REPORTER}),
    MappingProxyType({"GFP": REPORTER, "Phase3D": PHASE}),
    MappingProxyType({"DAPI": NUCLEUS, "Phase3D": PHASE}),
    MappingProxyType({"BF": PHASE}),
)
_GOLDEN: Final = 0.6180339887498949

_LEAST: Final = {"experiments": 1, "wells": 2, "fovs": 1, "frames": 1, "cells": 1, "size": 64, "seed": 0}
_LARGEST_SIZE: Final = 2**14
"""A frame is made as a whole, in several arrays of 4 bytes per pixel: some gigabytes."""
_PIXELS_PER_CELL: Final = 900


@dataclass(frozen=True)
class Recipe:
    """How much to synthesise.

    Attributes
    ----------
    experiments
        Number of experiments, each a plate of its own.
    wells
        Wells per plate, most uninfected (row A), at least one infected (row B).
    fovs
        Fields of view per well.
    frames
        Time points.
    cells
        Cells in the first frame of a field of view; they divide.
    size
        Height and width of a frame in pixels.
    seed
        Everything is a function of it.
    samples
        ``"channels"``: plates have unlike channels, for a table of which a row is one channel of a cell.

    Raises
    ------
    InvalidInputError
        A count is not an integer, is too small, or the cells do not fit the field of view.

    Examples
    --------
    >>> Recipe(wells=3).condition_wells(0)
    {'uninfected': ('A/1', 'A/2'), 'infected': ('B/1',)}
    >>> [len(Recipe().condition_wells(index)["infected"]) for index in range(5)]
    [1, 2, 1, 3, 1]
    >>> dict(Recipe(samples="channels").channels(1))
    {'BF': 'phase', 'GFP': 'nucleus', 'mCherry': 'reporter'}
    """

    experiments: int = 5
    wells: int = 8
    fovs: int = 1
    frames: int = 18
    cells: int = 24
    size: int = 256
    seed: int = 0
    samples: Samples = "cells"

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            object.__setattr__(self, name, check_integer(name, getattr(self, name), least, None))
        if self.samples not in SAMPLES:
            raise InvalidInputError(f"samples={self.samples!r} must be 'cells' or 'channels'.")
        if self.size > _LARGEST_SIZE:
            raise InvalidInputError(f"size={self.size!r} must be at most {_LARGEST_SIZE} pixels.")
        room = self.size**2 // _PIXELS_PER_CELL
        if self.cells > room:
            raise InvalidInputError(
                f"cells={self.cells} do not fit size={self.size}: at most {room}; give fewer or more pixels."
            )

    @property
    def bytes(self) -> int:
        """Bytes of all pixels, of which compression saves little: they are noisy."""
        kinds = [CHANNELS] if self.samples == "cells" else _UNLIKE_CHANNELS
        whole, more = divmod(self.experiments, len(kinds))
        images = whole * sum(map(len, kinds)) + sum(map(len, kinds[:more]))
        return 2 * images * self.wells * self.fovs * self.frames * self.size**2

    def channels(self, index: int) -> "Mapping[str, str]":
        """Return what each channel of experiment ``index`` (from 0) shows, in the store's order."""
        return CHANNELS if self.samples == "cells" else _UNLIKE_CHANNELS[index % len(_UNLIKE_CHANNELS)]

    def condition_wells(self, index: int) -> dict[str, tuple[str, ...]]:
        """Return the wells of each condition of experiment ``index`` (from 0), keyed by its name."""
        infected = max(1, round(self.wells * _INFECTED_SHARE[index % len(_INFECTED_SHARE)]))
        return {
            UNINFECTED: tuple(f"A/{column + 1}" for column in range(self.wells - infected)),
            INFECTED: tuple(f"B/{column + 1}" for column in range(infected)),
        }

    def fov_names(self, index: int) -> tuple[str, ...]:
        """Return the fields of view of experiment ``index`` (from 0) as "row/column/position"."""
        wells = (well for names in self.condition_wells(index).values() for well in names)
        return tuple(f"{well}/{position}" for well in wells for position in range(self.fovs))


@dataclass(frozen=True)
class Setup:
    """One experiment: its clock, its cell line and its microscope.

    Intensities of the optics are in units of a cell's own signal; of the camera in counts. Lengths
    are in pixels.
    """

    name: str
    interval_minutes: float
    start_hpi: float
    cell_radius: float
    nuclear_reporter: float
    granularity: float
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

    def hours(self, frames: int) -> list[float]:
        """Return hours post infection of each frame."""
        return [self.start_hpi + t * self.interval_minutes / 60 for t in range(frames)]


def make_setup(index: int, seed: int) -> Setup:
    """Return experiment ``index`` (from 0) of a seed.

    Examples
    --------
    >>> make_setup(1, seed=0).name
    'synthetic_2'
    """
    offsets: Iterator[float] = iter(np.random.default_rng([seed, 0x5E7]).random(32).tolist())

    def between(low: float, high: float) -> float:
        return low + (high - low) * ((next(offsets) + index * _GOLDEN) % 1.0)

    def ratio(low: float, high: float) -> float:
        return float(np.exp(between(float(np.log(low)), float(np.log(high)))))

    return Setup(
        name=f"synthetic_{index + 1}",
        interval_minutes=_INTERVAL_MINUTES[index % len(_INTERVAL_MINUTES)],
        start_hpi=_START_HPI[index % len(_START_HPI)],
        cell_radius=between(13.0, 16.0),
        nuclear_reporter=ratio(0.8, 1.4),
        granularity=ratio(0.7, 1.4),
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
    )
