"""How far apart in time an anchor and its positive are: a range in hours or in frames.

Experiments have intervals of their own, so that a range in hours is another number of frames in each; and
half an hour at one frame an hour, rounded to 0 frames, would make each cell its own positive. So hours become
frames per experiment: the lower bound is rounded up and at least 1, the upper one down. A range that holds
no whole number of frames is an error.

A *snapshot*, an experiment whose movies have one frame or whose ``interval_minutes`` is 0, has no later
frame. No range is asked of it, whatever its interval: it gets None in place of a range, and none of its cells
has a later relative.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from viscy_data.checks import brief, is_finite_number
from viscy_data.columns import EXPERIMENT, T
from viscy_data.errors import InvalidInputError
from viscy_data.tables.experiment import Experiment, FovInfo

if TYPE_CHECKING:
    import pandas as pd

# A range that ends on a frame must keep it whatever the last bit of hours / interval says.
_ROUNDING: Final = 1e-9

MOST_HOURS: Final = 100_000
"""Hours that a tau may span at the most: eleven years."""
MOST_FRAMES: Final = 1_000_000
"""Frames that a tau may span at the most: no movie has as many."""


@dataclass(frozen=True)
class TauRange:
    """Frames or hours from an anchor to its positive, both ends included; exactly one is given.

    Raises
    ------
    InvalidInputError
        Where both or none are given, or the range is empty, negative or not finite.

    Examples
    --------
    >>> experiment = Experiment(name="a", data_path="a.zarr", tracks_path="a", channels=["Phase"],
    ...                         interval_minutes=30)
    >>> TauRange(hours=(0.2, 1.6)).in_frames(experiment)
    (1, 3)
    >>> TauRange(frames=(1, 3)).in_frames(experiment)
    (1, 3)
    """

    hours: tuple[float, float] | None = None
    frames: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if (self.hours is None) == (self.frames is None):
            raise InvalidInputError(
                f"hours={self.hours!r}, frames={self.frames!r}: give the tau range in one of them"
            )
        given = self.hours if self.hours is not None else self.frames
        name, least = ("hours", 0) if self.hours is not None else ("frames", 1)
        if not _is_range(given, least, whole=name == "frames"):
            kind = "whole numbers" if name == "frames" else "finite numbers"
            raise InvalidInputError(
                f"{name}={brief(given)}: the tau range needs two {kind}, {least} <= first <= second"
            )
        most = MOST_HOURS if name == "hours" else MOST_FRAMES
        if given is not None and given[1] > most:
            raise InvalidInputError(
                f"{name}={brief(given)}: a tau of at most {most:,} {name} is allowed; give what lies "
                "within a movie."
            )
        object.__setattr__(self, name, tuple(given or ()))

    def in_frames(self, experiment: Experiment) -> tuple[int, int]:
        """Return the range in frames of one experiment, both ends included.

        Raises
        ------
        InvalidInputError
            Where the range in hours holds no whole number of frames, or the interval is not known.
        """
        if self.frames is not None:
            return self.frames
        low, high = self.hours or (0.0, 0.0)
        minutes = experiment.interval_minutes
        where = f"experiment {experiment.name!r}: interval_minutes={minutes}, tau hours=({low}, {high})"
        if not minutes:
            raise InvalidInputError(
                f"{where}: a snapshot has no later frame; take positive='self', or pair cells by their values"
                if minutes is not None
                else f"{where}: the interval is not known; set interval_minutes in the experiments file, or "
                "give the tau range in frames"
            )
        first, last = self.ends(minutes)
        if last < first:
            frame = minutes / 60
            least, most = math.floor(min(low, last * frame) * 1e4) / 1e4, math.ceil(first * frame * 1e4) / 1e4
            nearest = f"hours=({low:g}, {most:g})" if last < 1 else f"hours=({least:g}, {high:g})"
            raise InvalidInputError(
                f"{where}: no whole number of frames >= 1 lies in the range, as a frame is {frame:.4g} h; "
                f"widen it, to {nearest} at the least, or give it in frames"
            )
        return first, last

    def ends(self, minutes: float) -> tuple[int, int]:
        """Return the ends of a range in hours in frames of so many minutes.

        The first is above the second where no frame lies in the range.

        Raises
        ------
        InvalidInputError
            Where so many frames cannot be counted.
        """
        low, high = self.hours or (0.0, 0.0)
        first, last = low * 60 / minutes, high * 60 / minutes
        if not (math.isfinite(last) and last <= MOST_FRAMES):
            most = MOST_FRAMES * minutes / 60
            raise InvalidInputError(
                f"tau hours=({low:g}, {high:g}) at interval_minutes={minutes:g}: at most {MOST_FRAMES:,} "
                "frames, "
                f"{most:.4g} h, are allowed; give what lies within a movie."
            )
        return max(1, math.ceil(first - _ROUNDING)), math.floor(last + _ROUNDING)

    def in_frames_of(
        self, experiments: Sequence[Experiment], fovs: Mapping[str, Sequence[FovInfo]]
    ) -> dict[str, tuple[int, int] | None]:
        """Return the range in frames of each experiment, by its name; None: of a snapshot none is asked.

        Raises
        ------
        InvalidInputError
            Naming every experiment that has no frame in the range, or whose interval is not known; or where
            the range reaches beyond the longest movie.
        """
        lengths = {e.name: max((info.shape[0] for info in fovs[e.name]), default=0) for e in experiments}
        movies = [one for one in experiments if not one.is_snapshot(lengths[one.name])]
        found, problems = {}, []
        for one in movies:
            try:
                found[one.name] = self.in_frames(one)
            except InvalidInputError as error:
                problems.append(str(error))
        if problems:
            raise InvalidInputError("\n".join(problems))
        if found and all(most > lengths[name] for name, (_, most) in found.items()):
            name = max(found, key=lambda name: lengths[name])
            kind, given = ("hours", self.hours) if self.frames is None else ("frames", self.frames)
            raise InvalidInputError(
                f"tau {kind}={given}: all movies are shorter; the longest, of experiment {name!r}, has "
                f"{lengths[name]} frames, and the range reaches to {found[name][1]}. Give a tau that lies "
                "within it."
            )
        return {one.name: found.get(one.name) for one in experiments}

    def as_dict(self) -> dict[str, list[float] | list[int] | None]:
        """Return plain lists, for JSON."""
        return {
            "hours": None if self.hours is None else list(self.hours),
            "frames": None if self.frames is None else list(self.frames),
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Build the range that :meth:`as_dict` wrote."""
        hours, frames = content["hours"], content["frames"]
        return cls(
            hours=None if hours is None else tuple(hours), frames=None if frames is None else tuple(frames)
        )


def frames_of(
    tau: TauRange, experiments: Iterable[Experiment], anchors: "pd.DataFrame"
) -> dict[str, tuple[int, int] | None]:
    """Return the range in frames of each experiment that a table of anchors has rows of, by its name.

    None: the experiment is a snapshot, or its rows are of one frame, and no range is asked of it.

    Raises
    ------
    InvalidInputError
        Naming every other experiment that has no frame in the range, or whose interval is not known.
    """
    held = set(anchors[EXPERIMENT].unique())
    found: dict[str, tuple[int, int] | None] = {}
    problems = []
    for one in experiments:
        if one.name not in held:
            continue
        try:
            found[one.name] = None if one.is_snapshot() else tau.in_frames(one)
        except InvalidInputError as error:
            found[one.name] = None
            own = (anchors[EXPERIMENT] == one.name).to_numpy()
            if anchors[T].to_numpy()[own].min() < anchors[T].to_numpy()[own].max():
                problems.append(str(error))
    if problems:
        raise InvalidInputError("\n".join(problems))
    return found


def _is_range(given: object, least: int, *, whole: bool) -> bool:
    if not isinstance(given, tuple | list) or len(given) != 2:
        return False
    kinds = (int,) if whole else (int, float)
    if any(isinstance(end, bool) or not isinstance(end, kinds) for end in given):
        return False
    return all(is_finite_number(end) for end in given) and least <= given[0] <= given[1]
