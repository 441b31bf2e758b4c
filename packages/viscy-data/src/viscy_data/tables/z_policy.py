"""Which slice of a stack is a cell's: that of its tracks, the one in focus, the middle one, or one by number.

A stage drifts, and a plate is not flat, so that the slice that is sharp differs between fields of view and
times; where tracks know no z, it is better than any fixed one. It is measured while statistics are read, or
the store says it (:mod:`viscy_data.images.focus`, :mod:`viscy_data.images.store_metadata`). Colours are in
focus in different slices: each channel may have a policy of its own.

The table of anchors has one slice for each row. Where policies differ by channel and a row shows all
channels, it is that of the tracks, where a channel takes that, else the first channel's; those of the other
channels are kept with the table (*planes*).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from viscy_data.errors import suggest
from viscy_data.tables.experiment_fields import SLICES

type IntArray = NDArray[np.int64]
type Policy = int | str
type Planes = Mapping[str, Mapping[str, Sequence[int]]]
"""The slice in focus of each frame, by field of view and channel."""

type KeptPlanes = Mapping[str, Mapping[str, list[list[int] | None]]]
"""Slices of each channel, in order, by experiment and field of view; None: that of the row."""

FOCUS: Final = SLICES[1]


@dataclass(frozen=True)
class ZPolicy:
    """The slices that an experiment's channels show.

    Attributes
    ----------
    of_channel
        Policy of each channel; None: that of the tracks, which must not be 0 throughout.
    measured
        For each channel, the one whose focus it takes.
    from_store
        Whether the store's attributes say the focus.
    """

    of_channel: Mapping[str, Policy | None]
    measured: Mapping[str, str]
    from_store: bool

    @classmethod
    def of(
        cls,
        z: Policy | Mapping[str, Policy] | None,
        channels: Sequence[str],
        focus_channel: str | None,
        store_attributes: Sequence[str],
    ) -> Self:
        """Return what the fields of an experiment say; they have no :func:`z_problems`."""
        by_channel = isinstance(z, Mapping)
        policies = {name: z[name] if isinstance(z, Mapping) else z for name in channels}
        measured = {
            name: name if by_channel else focus_channel or channels[0]
            for name, policy in policies.items()
            if policy == FOCUS
        }
        return cls(policies, measured, "focus_slice" in store_attributes)

    @property
    def leading(self) -> str:
        """The channel whose slice is a row's, where it shows all channels."""
        tracked = (name for name, policy in self.of_channel.items() if policy in (None, "tracks"))
        return next(tracked, next(iter(self.of_channel)))

    @property
    def differs(self) -> bool:
        """Whether channels show different slices."""
        return len({(policy, self.measured.get(name)) for name, policy in self.of_channel.items()}) > 1

    @property
    def takes_tracks(self) -> bool:
        """Whether the z of the tracks is of use."""
        return self.of_channel[self.leading] in (None, "tracks")

    @property
    def estimated(self) -> tuple[str, ...]:
        """Channels whose focus is measured in their pixels."""
        return () if self.from_store else tuple(dict.fromkeys(self.measured.values()))

    def plane(self, channel: str, fov: str, depth: int, planes: Planes) -> list[int] | None:
        """Return the slice that a channel shows in each frame, or in all (one element); None: the tracks'.

        Where planes are not known yet, the focus is taken for the middle.
        """
        policy = self.of_channel[channel]
        if policy in (None, "tracks"):
            return None
        if policy == FOCUS and fov in planes:
            return list(planes[fov][self.measured[channel]])
        return [policy if isinstance(policy, int) else depth // 2]

    def planes_of(self, fov: str, depth: int, planes: Planes) -> list[list[int] | None]:
        """Return :meth:`plane` of each channel, in order."""
        return [self.plane(channel, fov, depth, planes) for channel in self.of_channel]


@dataclass(frozen=True)
class PlaneTable:
    """The slices of one channel in all frames of numbered fields of view, looked up a batch at a time.

    Attributes
    ----------
    first, frames
        (F,) place of each field of view in ``z``, and how many it has there; one is for all its frames.
    z
        Slices; -1: that of the row.
    """

    first: IntArray
    frames: IntArray
    z: NDArray[np.int16]

    @classmethod
    def build(cls, planes: Sequence[Sequence[int] | None]) -> Self:
        """Take the slices of each field of view; None: those of the rows."""
        known = [[-1] if one is None else one for one in planes]
        frames = np.array([len(one) for one in known], dtype=np.int64)
        return cls(np.cumsum(frames) - frames, frames, np.array([z for one in known for z in one], np.int16))

    def at(self, fov: IntArray, t: IntArray, other: NDArray[Any]) -> NDArray[Any]:
        """Return slices (N,) of frames ``t`` (N,) of fields of view ``fov`` (N,), else ``other`` (N,).

        Examples
        --------
        >>> table = PlaneTable.build([[4, 5], [7], None])
        >>> table.at(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 1]), np.arange(4)).tolist()
        [4, 5, 7, 3]
        """
        found = self.z[self.first[fov] + np.where(self.frames[fov] == 1, 0, t)]
        return np.where(found < 0, other, found)


def z_problems(
    z: Policy | Mapping[str, Policy] | None,
    channels: Sequence[str],
    focus_channel: str | None,
    store_attributes: Sequence[str],
) -> list[str]:
    """Return what is wrong with the fields of an experiment that say its slices.

    Examples
    --------
    >>> z_problems({"Phase": "focus"}, ["Phase", "RFP"], None, [])
    ["z: channel 'RFP' is not named; say of each channel which slice it shows"]
    >>> z_problems("middle", ["Phase"], "Phase", [])
    ["focus_channel='Phase': only z: focus takes it; leave it out, or set that"]
    """
    problems = []
    if isinstance(z, Mapping):
        unknown = [name for name in z if name not in channels]
        problems += [
            f"z: {name!r} is none of channels, which are {', '.join(channels)}.{suggest(name, channels)}"
            for name in unknown
        ]
        problems += [
            f"z: channel {name!r} is not named; say of each channel which slice it shows"
            for name in channels
            if name not in z
        ]
    if focus_channel is not None and z != FOCUS:
        problems.append(f"focus_channel={focus_channel!r}: only z: focus takes it; leave it out, or set that")
    elif focus_channel is not None and focus_channel not in channels:
        problems.append(
            f"focus_channel={focus_channel!r} is none of channels, which are {', '.join(channels)}."
            f"{suggest(focus_channel, channels)}"
        )
    focused = FOCUS in z.values() if isinstance(z, Mapping) else z == FOCUS
    if "focus_slice" in store_attributes and not focused:
        problems.append("store_attributes: focus_slice is of use with z: focus; leave it out, or set that")
    return problems
