"""What batches held against what was asked: counted over whole epochs, without reading a pixel."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition.draw import BatchComposer
from viscy_data.composition.parts import PartSizes
from viscy_data.composition.stages import Asked

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

BLOCK = 512
TIME_BINS = 24


@dataclass(frozen=True)
class CompositionReport:
    """Counts of what the batches of some epochs held.

    Attributes
    ----------
    epochs, batches, batch_size, anchors
        Epochs counted, batches in all of them, anchors in a batch and in the table.
    groups, strata
        Values of the groups and strata; ``(None,)`` where the axis is off.
    batches_asked, batches_held
        (groups,) batches of each group: exact share, and count.
    stratum_asked, stratum_held
        (groups, strata) mean anchors per batch of a group, by stratum; exact share, and mean.
    leak_asked, leak_held
        Mean anchors per batch that come from another group; asked counts whole anchors.
    focal_asked, focal_held
        Mean fraction of a batch inside its focal window; None where there is no window with edges.
    repeats
        Anchors that came a second time in one batch.
    visits_least, visits_most
        (groups, strata) fewest and most visits of any anchor of a cell.
    times
        (bins + 1,) edges in hours, or None.
    by_time
        (groups, strata, bins) anchors held; one bin where the plan has no clock.
    """

    epochs: int
    batches: int
    batch_size: int
    anchors: int
    groups: tuple[Any, ...]
    strata: tuple[Any, ...]
    batches_asked: Floats
    batches_held: Integers
    stratum_asked: Floats
    stratum_held: Floats
    leak_asked: float
    leak_held: float
    focal_asked: float | None
    focal_held: float | None
    repeats: int
    visits_least: Integers
    visits_most: Integers
    times: Floats | None
    by_time: Integers

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers, texts and lists, as JSON takes them."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        for name, value in plain.items():
            if isinstance(value, np.ndarray):
                plain[name] = value.tolist()
        plain["groups"] = [value if value is None else str(value) for value in self.groups]
        plain["strata"] = [value if value is None else str(value) for value in self.strata]
        return plain


def report_composition(
    composer: BatchComposer, epochs: range, advance: Callable[[int], None] = lambda _: None
) -> CompositionReport:
    """Compose whole epochs and count; ``advance`` is called with the number of batches done."""
    tally = _Tally(composer)
    for epoch in epochs:
        for numbers in _blocks(composer.batches):
            tally.add(epoch, numbers)
            advance(numbers.size)
    return tally.report(len(epochs))


def _blocks(batches: int) -> Iterator[Integers]:
    for start in range(0, batches, BLOCK):
        yield np.arange(start, min(start + BLOCK, batches))


class _Asked:
    """Sums of what batches of a plan whose quotas change are asked to hold."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.strata = np.zeros(shape)
        self.leaked = self.inside = 0

    def add(self, asked: Asked, group: Integers) -> None:
        np.add.at(self.strata, group, asked.strata)
        self.leaked += int(asked.leaked.sum())
        self.inside += int(asked.inside.sum())


class _Tally:
    """Running counts over blocks of batches."""

    def __init__(self, composer: BatchComposer) -> None:
        layout = composer.layout
        self.composer, self.layout = composer, layout
        self.cells = layout.start.size - 1
        self.groups = len(layout.groups.values)
        self.visits = np.zeros(len(layout), dtype=np.int64)
        self.group_batches = np.zeros(self.groups, dtype=np.int64)
        self.held = np.zeros((self.groups, len(layout.strata.values)), dtype=np.int64)
        self.leaked = self.inside = self.drawn = self.repeats = 0
        self.asked = _Asked(self.held.shape)
        self.edges = (
            None
            if layout.run_time is None
            else np.linspace(
                layout.run_time.min(), np.nextafter(layout.run_time.max(), np.inf), TIME_BINS + 1
            )
        )
        self.by_time = np.zeros((self.cells, 1 if self.edges is None else TIME_BINS), dtype=np.int64)

    def add(self, epoch: int, numbers: Integers) -> None:
        places, sizes = self.composer.places(epoch, numbers)
        batch = np.repeat(np.arange(numbers.size), sizes)
        cell = self.layout.cell_of(places)
        group = self.composer.schedule.visits(epoch, numbers).group
        self.drawn += places.size
        self.leaked += int((cell % self.groups != group[batch]).sum())
        self.group_batches += np.bincount(group, minlength=self.groups)
        if self.composer.stages is not None:
            self.asked.add(self.composer.stages.asked(epoch, numbers), group)
        strata = self.held.shape[1]
        pair = group[batch] * strata + cell // self.groups
        self.held += np.bincount(pair, minlength=self.held.size).reshape(self.held.shape)
        self.visits += (
            np.bincount(places, minlength=self.visits.size) if self.visits.size < 4 * places.size else 0
        )
        if self.visits.size >= 4 * places.size:
            np.add.at(self.visits, places, 1)
        key = np.sort(batch * len(self.layout) + places)
        self.repeats += int((key[1:] == key[:-1]).sum())
        self._add_times(epoch, numbers, group, batch, cell, places)

    def _add_times(
        self,
        epoch: int,
        numbers: Integers,
        group: Integers,
        batch: Integers,
        cell: Integers,
        places: Integers,
    ) -> None:
        if self.edges is None or self.composer.plan.window is None:
            self.by_time[:, 0] += np.bincount(cell, minlength=self.cells)
            return
        time = self.layout.time_of(places)
        focal = self.composer.focal_times(epoch, numbers, group)[batch]
        reach = self.composer.reach(epoch, numbers)[batch]
        self.inside += int((np.abs(time - focal) <= reach).sum())
        bin_ = np.searchsorted(self.edges, time, side="right") - 1
        self.by_time += np.bincount(cell * TIME_BINS + bin_, minlength=self.by_time.size).reshape(
            -1, TIME_BINS
        )

    def report(self, epochs: int) -> CompositionReport:
        composer, layout = self.composer, self.layout
        batches = composer.batches * epochs
        window = composer.plan.window
        has_edges = window is not None and window.kernel == "box"
        moves = composer.stages is not None
        starts = layout.start[:-1]
        occupied = np.diff(layout.start) > 0
        least, most = (np.zeros(self.cells, dtype=np.int64) for _ in range(2))
        least[occupied] = np.minimum.reduceat(self.visits, starts[occupied])
        most[occupied] = np.maximum.reduceat(self.visits, starts[occupied])
        shape = layout.size.shape
        times = self.by_time.reshape(*shape, -1).transpose(1, 0, 2)
        return CompositionReport(
            epochs=epochs,
            batches=batches,
            batch_size=composer.plan.batch_size,
            anchors=len(layout),
            groups=layout.groups.values,
            strata=layout.strata.values,
            batches_asked=np.array([float(share * batches) for share in composer.shares.groups]),
            batches_held=self.group_batches,
            stratum_asked=self.asked.strata / np.maximum(self.group_batches, 1)[:, None]
            if moves
            else composer.parts.means(),
            stratum_held=self.held / np.maximum(self.group_batches, 1)[:, None],
            leak_asked=self.asked.leaked / batches if moves else self._mean(lambda part: sum(part.leaked)),
            leak_held=self.leaked / batches,
            focal_asked=None
            if not has_edges
            else self.asked.inside / self.drawn
            if moves
            else self._mean(lambda part: part.own[0] + part.leaked[0])
            / self._mean(lambda part: sum(part.own) + sum(part.leaked)),
            focal_held=self.inside / self.drawn if has_edges else None,
            repeats=self.repeats,
            visits_least=least.reshape(shape).T,
            visits_most=most.reshape(shape).T,
            times=self.edges,
            by_time=times,
        )

    def _mean(self, count: Callable[[PartSizes], int]) -> float:
        """Return the mean over an epoch's batches, the last of which may be smaller."""
        schedule, parts = self.composer.schedule, self.composer.parts.parts
        total = sum(
            n * count(part) for n, part in zip((schedule.full, schedule.partial), parts, strict=False)
        )
        return total / self.composer.batches
