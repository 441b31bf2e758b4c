"""What to synthesise: the counts that the user chooses, the design of plates, and what channels show.

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
from typing import TYPE_CHECKING, Final, Literal

from viscy_data.checks import check_integer, check_number
from viscy_data.errors import InvalidInputError
from viscy_data.tables.experiment_fields import SAMPLES, Samples

if TYPE_CHECKING:
    from collections.abc import Mapping

PHASE: Final = "phase"
REPORTER: Final = "reporter"
NUCLEUS: Final = "nucleus"
CHANNELS: "Final[Mapping[str, str]]" = MappingProxyType({"Phase3D": PHASE, "RFP": REPORTER})
"""What each channel of a plate shows."""
PIXEL_SIZE_UM: Final = 0.65
UNINFECTED: Final = "uninfected"
INFECTED: Final = "infected"

_INFECTED_SHARE: Final = (1 / 8, 2 / 8, 1 / 8, 3 / 8, 1 / 8)
_UNLIKE_CHANNELS: Final = (
    CHANNELS,
    MappingProxyType({"BF": PHASE, "GFP": NUCLEUS, "mCherry": REPORTER}),
    MappingProxyType({"GFP": REPORTER, "Phase3D": PHASE}),
    MappingProxyType({"DAPI": NUCLEUS, "Phase3D": PHASE}),
    MappingProxyType({"BF": PHASE}),
)

_LEAST: Final = {"experiments": 1, "wells": 2, "fovs": 1, "frames": 1, "cells": 1, "size": 64, "seed": 0}
_LARGEST_WELL_EFFECT: Final = 5
type CellLines = Literal["own", "same"]
"""Whether each experiment has a cell line of its own or all have that of the first."""

_LARGEST_SIZE: Final = 2**14
"""A frame is made as a whole, in several arrays of 4 bytes per pixel: some gigabytes."""
_PIXELS_PER_CELL: Final = 900


@dataclass(frozen=True, kw_only=True)
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
    cell_lines
        ``"same"``: experiments differ by their microscopes alone.
    well_effect
        How much wells of a plate differ, whatever was done to them; 1 is realistic, 0 switches it off.
    microscope_effect
        How far microscopes differ: 1 spreads them over all of what is usual, 0 makes them one.
    infected
        Share of the wells of each plate that is infected; None: one to three in eight, as above.
    same_cells
        All experiments show the very same cells, each through its own microscope.

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
    >>> [len(Recipe(infected=0.5).condition_wells(index)["infected"]) for index in range(2)]
    [4, 4]
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
    cell_lines: CellLines = "own"
    well_effect: float = 1.0
    microscope_effect: float = 1.0
    infected: float | None = None
    same_cells: bool = False

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            object.__setattr__(self, name, check_integer(name, getattr(self, name), least, None))
        if self.samples not in SAMPLES:
            raise InvalidInputError(f"samples={self.samples!r} must be 'cells' or 'channels'.")
        if self.cell_lines not in ("own", "same"):
            raise InvalidInputError(f"cell_lines={self.cell_lines!r} must be 'own' or 'same'.")
        if not 0 <= check_number("well_effect", self.well_effect) <= _LARGEST_WELL_EFFECT:
            raise InvalidInputError(
                f"well_effect={self.well_effect!r} must be from 0 to {_LARGEST_WELL_EFFECT}; 1 is usual."
            )
        if not 0 <= check_number("microscope_effect", self.microscope_effect) <= 1:
            raise InvalidInputError(
                f"microscope_effect={self.microscope_effect!r} must be from 0, one for all, to 1, as usual."
            )
        if self.infected is not None and not 0 < check_number("infected", self.infected) < 1:
            raise InvalidInputError(
                f"infected={self.infected!r} must be a share of the wells, above 0 and below 1; leave it out "
                "for one to three wells in eight."
            )
        if self.same_cells and self.samples == "channels":
            raise InvalidInputError(
                "same_cells=True shows the same channels everywhere: give samples='cells'."
            )
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
        index = 0 if self.same_cells else index
        share = _INFECTED_SHARE[index % len(_INFECTED_SHARE)] if self.infected is None else self.infected
        infected = min(max(1, round(self.wells * share)), self.wells - 1)
        return {
            UNINFECTED: tuple(f"A/{column + 1}" for column in range(self.wells - infected)),
            INFECTED: tuple(f"B/{column + 1}" for column in range(infected)),
        }

    def fov_names(self, index: int) -> tuple[str, ...]:
        """Return the fields of view of experiment ``index`` (from 0) as "row/column/position"."""
        wells = (well for names in self.condition_wells(index).values() for well in names)
        return tuple(f"{well}/{position}" for well in wells for position in range(self.fovs))
