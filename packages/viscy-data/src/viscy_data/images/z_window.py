"""Which slices of a stack a patch shows, and what becomes of them.

Each row of a table has a slice, ``z``: what its tracks say, the plane in focus, the middle, a number. A model
may want more than it: some slices below and above (``slices``), more on one side than on the other
(``offset``), in training not always the same ones, so that it does not learn how well the stage was focused
(``shift``), or one picture of them all (``projection``). Only these slices are read.

A window that reaches over an end of the stack is moved inside. The slice of a row that was moved along with a
shift is its *own* slice still: the one that channels show whose projection is ``slice``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from viscy_data.checks import check_integer
from viscy_data.errors import InvalidInputError, suggest

type IntArray = NDArray[np.int64]

Projection = Literal["max", "mean", "slice"]

_METHODS: Final[tuple[str, ...]] = get_args(Projection)


@dataclass(frozen=True)
class ZWindow:
    """The slices of a patch.

    Attributes
    ----------
    slices
        How many, centred on the row's slice: ``z - slices // 2`` is the first.
    offset
        Slices by which the window lies above (below: negative) its place.
    shift
        In training the window lies up to so many slices above or below, drawn for each view of each batch.
    projection
        One picture of the window instead of its slices: their ``max`` or ``mean``, or the row's own ``slice``
        of them; one for all channels, or a mapping from channels' names, in which a channel that is left out
        shows its own slice. None: all slices, in order.

    Raises
    ------
    InvalidInputError
        Where a value is not allowed.

    Examples
    --------
    >>> ZWindow(5, offset=-1).depth, ZWindow(5, projection="max").depth
    (5, 1)
    """

    slices: int = 1
    offset: int = 0
    shift: int = 0
    projection: Projection | Mapping[str, Projection] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "slices", check_integer("z_window.slices", self.slices, 1))
        limit = 1 << 15
        object.__setattr__(self, "offset", check_integer("z_window.offset", self.offset, -limit, limit))
        object.__setattr__(self, "shift", check_integer("z_window.shift", self.shift, 0, limit))
        given = self.projection
        for one in given.values() if isinstance(given, Mapping) else () if given is None else (given,):
            if one not in _METHODS:
                raise InvalidInputError(
                    f"z_window.projection={given!r}: {', '.join(_METHODS)} or a mapping of them by channel, "
                    f"is needed.{suggest(str(one), _METHODS)}"
                )

    @property
    def depth(self) -> int:
        """Slices of a patch."""
        return self.slices if self.projection is None else 1

    def starts(self, z: IntArray, depth: IntArray, shift: IntArray | int = 0) -> IntArray:
        """Return the first slice (B,) of windows at slices ``z`` (B,) of stacks of ``depth`` (B,)."""
        first = z + (self.offset - self.slices // 2) + shift
        starts: IntArray = np.clip(first, 0, depth - self.slices)
        return starts

    def own(self, z: IntArray, starts: IntArray, shift: IntArray | int = 0) -> IntArray:
        """Return the place (B,) of each row's own slice in its window."""
        places: IntArray = np.clip(z + shift - starts, 0, self.slices - 1)
        return places

    def projections(
        self, channels: Mapping[str, Sequence[str]], *, together: bool = True
    ) -> dict[str, tuple[Projection, ...]] | None:
        """Return the projection of each channel by experiment; None: there is none.

        Parameters
        ----------
        channels
            Channels' names, by experiment.
        together
            Whether a patch shows all channels, so that those of one place need one projection.

        Raises
        ------
        InvalidInputError
            Where a name is not that of a channel, or experiments disagree about a place.
        """
        given = self.projection
        if given is None:
            return None
        if not isinstance(given, Mapping):
            return {experiment: (given,) * len(names) for experiment, names in channels.items()}
        known = list(dict.fromkeys(name for names in channels.values() for name in names))
        for name in given:
            if name not in known:
                raise InvalidInputError(
                    f"z_window.projection: {name!r} is not one of the channels, which are {', '.join(known)}."
                    f"{suggest(name, known)}"
                )
        chosen: dict[str, tuple[Projection, ...]] = {
            experiment: tuple(given.get(name, "slice") for name in names)
            for experiment, names in channels.items()
        }
        first = next(iter(chosen))
        for experiment, own in chosen.items():
            if together and own != chosen[first]:
                raise InvalidInputError(
                    f"z_window.projection={dict(given)!r}: it would project channels of {experiment!r} "
                    f"({', '.join(channels[experiment])}) otherwise than those of {first!r} "
                    f"({', '.join(channels[first])}); name the channels of both."
                )
        return chosen


def project(window: NDArray[Any], methods: Sequence[Projection], own: int) -> NDArray[Any]:
    """Return one picture (C, 1, Y, X) of a window (C, Z, Y, X).

    In its dtype, except where one of ``methods``, one for each channel, is ``mean``: float32. ``own`` is the
    place of the slice that ``slice`` shows.
    """
    dtype = np.dtype(np.float32) if "mean" in methods else window.dtype
    shown = np.empty((window.shape[0], 1, *window.shape[2:]), dtype=dtype)
    for picture, channel, method in zip(shown, window, methods, strict=True):
        if method == "max":
            picture[0] = channel.max(axis=0)
        elif method == "mean":
            picture[0] = channel.mean(axis=0, dtype=np.float64)
        else:
            picture[0] = channel[own]
    return shown
