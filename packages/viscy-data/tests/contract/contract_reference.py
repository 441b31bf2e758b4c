"""A slow, obvious reader of batches: plain loops that know the contract and nothing of how batches are drawn.

`broken_promises` is given a table, a plan and batches, and returns one sentence for every promise that the
batches break; none where all hold. *own* anchors are of the batch's group, *leaked* ones of other groups;
*near* ones lie inside the focal window, *far* ones outside. Nothing says which group or which focal time a
step was drawn for, so each that is possible is tried, and the one that explains the step best is taken.

What needs many batches (coverage, shares over epochs, weights) stands with the tests of these promises.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import ceil, floor
from typing import Any

import pandas as pd

from viscy_data import BatchPlan

Value = tuple[Any, ...]
Shares = Mapping[Value, Fraction]
Batch = tuple[int, int, Sequence[int]]
"""Epoch, number and rows of a batch."""

TOLERANCE = 1e-4
"""Units of the clock by which an anchor may miss the focal window: clock columns may be float32."""


@dataclass(frozen=True)
class Step:
    """Batches that are drawn together: what they share, and what each of them holds."""

    epoch: int
    number: int
    batches: tuple[tuple[int, ...], ...]

    @cached_property
    def rows(self) -> list[int]:
        return [row for batch in self.batches for row in batch]

    def __str__(self) -> str:
        return f"epoch {self.epoch}, step from batch {self.number}"


def broken_promises(
    table: pd.DataFrame,
    plan: BatchPlan | Mapping[int, BatchPlan],
    batches: Iterable[Batch],
    *,
    drop_last: bool = True,
) -> list[str]:
    """Return a sentence for every promise that these batches, of whole steps, break.

    Parameters
    ----------
    plan
        A plan, or the plans of a curriculum by the batch with which each begins.
    """
    stages = plan if isinstance(plan, Mapping) else {0: plan}
    readers = {begin: Reader(table, stage, drop_last=drop_last) for begin, stage in stages.items()}
    sizes = readers[0].sizes
    found: list[str] = []
    epochs: defaultdict[int, list[tuple[Reader, set[Value]]]] = defaultdict(list)
    for step in _steps(batches, len(sizes), readers[0].plan.span):
        first = step.number % len(sizes)
        reader = readers[max(begin for begin in readers if begin <= step.epoch * len(sizes) + first)]
        sentences, groups = reader.read(step, sizes[first : first + reader.plan.span])
        found += [f"{step}: {sentence}" for sentence in sentences]
        if step.number < len(sizes):
            epochs[step.epoch].append((reader, groups))
    for epoch, steps in epochs.items():
        if len(steps) == len(range(0, len(sizes), readers[0].plan.span)):
            found += [f"epoch {epoch}: {sentence}" for sentence in _wrong_group_shares(steps)]
    return found


def _steps(batches: Iterable[Batch], per_epoch: int, span: int) -> Iterator[Step]:
    together: defaultdict[tuple[int, int, int], list[tuple[int, tuple[int, ...]]]] = defaultdict(list)
    for epoch, number, rows in batches:
        cycle, place = divmod(number, per_epoch)
        together[epoch, cycle, place // span].append((number, tuple(rows)))
    for (epoch, _, _), members in sorted(together.items()):
        members.sort()
        yield Step(epoch, members[0][0], tuple(rows for _, rows in members))


def _wrong_group_shares(steps: Sequence[tuple["Reader", set[Value]]]) -> list[str]:
    """Compare the steps of each group in an epoch with its share; a step may fit several groups."""
    readers = {id(reader): reader for reader, _ in steps}
    found = []
    for group in next(iter(readers.values())).groups:
        exact = sum((reader.group_shares[group] for reader, _ in steps), Fraction(0))
        certain = sum(groups == {group} for _, groups in steps)
        possible = sum(group in groups for _, groups in steps)
        low, high = floor(exact), ceil(exact)
        if len(readers) > 1:  # a stage begins: each may miss by one
            low, high = ceil(exact - len(readers)), floor(exact + len(readers))
        if possible < low or certain > high:
            found.append(f"group {group} has {certain} steps, but its share is {float(exact):.3g}")
    return found


class Reader:
    """What one plan promises on one table."""

    def __init__(self, table: pd.DataFrame, plan: BatchPlan, *, drop_last: bool) -> None:
        self.plan, self.count = plan, len(table)
        full, rest = divmod(self.count, plan.batch_size)
        self.sizes = [plan.batch_size] * full + [rest] * (rest > 0 and not drop_last)
        self.group_of = _values(table, () if plan.grouping is None else plan.grouping.by)
        self.stratum_of = _values(table, () if plan.balance is None else plan.balance.by)
        self.groups, self.strata = sorted(set(self.group_of)), sorted(set(self.stratum_of))
        self.cells: dict[tuple[Value, Value], list[int]] = {}
        for row in range(self.count):
            self.cells.setdefault((self.group_of[row], self.stratum_of[row]), []).append(row)
        self.clock: list[float] = []
        if plan.focus is not None:
            self.clock = table[plan.focus.by].astype("float64").tolist()
        self.frame_of = _values(table, () if plan.locality is None else plan.locality.columns)
        self.caps = [(cap, _values(table, cap.by)) for cap in plan.at_most]
        self._near: dict[float, set[int]] = {}

    # -- shares

    def size(self, group: Value, stratum: Value) -> int:
        return len(self.cells.get((group, stratum), ()))

    def elsewhere(self, group: Value, stratum: Value) -> list[int]:
        """Return the anchors of a stratum in all other groups."""
        return [r for (g, s), rows in self.cells.items() if g != group and s == stratum for r in rows]

    def _ratio(self, stratum: Value, count: int) -> Fraction:
        """Return what a stratum with so many anchors is given beside others."""
        ratio = None if self.plan.balance is None else self.plan.balance.ratio
        if not count or self.plan.balance is None or ratio is None:
            return Fraction(count > 0)
        return Fraction(count if isinstance(ratio, str) else ratio[_label(stratum)])

    def own_shares(self, group: Value) -> Shares:
        """Return the shares of strata among the own anchors of a group; {} where all are left out."""
        return _normalised({s: self._ratio(s, self.size(group, s)) for s in self.strata})

    def leaked_shares(self, group: Value) -> Shares:
        """Return the shares of strata among anchors that leak into batches of a group."""
        pool = {s: len(self.elsewhere(group, s)) for s in self.strata}
        own = self.own_shares(group)
        return _normalised({s: own[s] * (pool[s] > 0) for s in own}) or _normalised(
            {s: self._ratio(s, pool[s]) for s in self.strata}
        )

    @cached_property
    def group_shares(self) -> Shares:
        """Shares of steps by group."""
        able = [group for group in self.groups if self.own_shares(group)]
        anchors = {group: sum(self.size(group, s) for s in self.strata) for group in able}
        weights = None if self.plan.grouping is None else self.plan.grouping.weights
        shares: dict[Value, Fraction] = dict.fromkeys(self.groups, Fraction(0))
        if weights is not None and any(isinstance(part, Mapping) for part in weights.values()):
            return shares | dict(_by_level(able, anchors, self.plan, weights))
        if weights is None:
            return shares | dict(_normalised({g: Fraction(n) for g, n in anchors.items()}))
        return shares | dict(_normalised({g: Fraction(weights[_label(g)]) for g in able}))

    # -- sizes of parts

    def leaked_count(self, size: int) -> int:
        leak = 0.0 if self.plan.grouping is None else self.plan.grouping.leak
        return min(round(size * leak), size - 1)

    @property
    def fraction(self) -> float:
        """The part of a batch that comes from outside the window; 1 where there is no window."""
        return 1.0 if self.plan.focus is None else self.plan.focus.global_fraction

    def near_count(self, size: int, part: str) -> int:
        """Return how many of the own or leaked anchors of a batch are asked from inside the window."""
        far = round(size * self.fraction)
        leaked = self.leaked_count(size)
        leaked_far = round(Fraction(leaked * far, size))
        return leaked - leaked_far if part == "leaked" else size - leaked - (far - leaked_far)

    # -- one step

    def read(self, step: Step, sizes: Sequence[int]) -> tuple[list[str], set[Value]]:
        """Return what a step breaks, and the groups that it may have been drawn for."""
        if [len(batch) for batch in step.batches] != list(sizes):
            held = [len(batch) for batch in step.batches]
            return [f"its batches hold {held} anchors, not {list(sizes)}"], set()
        if strange := [row for row in step.rows if type(row) is not int or not 0 <= row < self.count]:
            return [f"{strange[:3]} are no positions in the table"], set()
        found = {group: self._broken(step, group) for group in self._possible(step)}
        if not found:
            own = [len(batch) - self.leaked_count(len(batch)) for batch in step.batches]
            held = [dict(Counter(self.group_of[row] for row in batch)) for batch in step.batches]
            return [f"no group gives {own} anchors of its batches, which hold {held}"], set()
        least = min(map(len, found.values()))
        best = {group for group in found if len(found[group]) == least}
        return found[min(best)], best

    def _possible(self, step: Step) -> list[Value]:
        def gives(group: Value, batch: Sequence[int]) -> bool:
            own = sum(self.group_of[row] == group for row in batch)
            return own == len(batch) - self.leaked_count(len(batch))

        able = [group for group in self.groups if self.group_shares[group]]
        return [group for group in able if all(gives(group, batch) for batch in step.batches)]

    def _broken(self, step: Step, group: Value) -> list[str]:
        found = [*self._wrong_strata(step, group), *self._too_many_frames(step)]
        if self.fraction == 1:
            return [*found, *self._broken_around(step, group, None)]
        best: list[str] | None = None
        for focal in self.focal_times(group):
            around = self._broken_around(step, group, focal)
            if best is None or len(around) < len(best):
                best = [f"{sentence} (around {focal:g})" for sentence in around]
            if not around:
                break
        return found + (best or [])

    def _broken_around(self, step: Step, group: Value, focal: float | None) -> list[str]:
        return [
            *([] if focal is None else self._wrong_sides(step, group, focal)),
            *self._wrong_repeats(step, group, focal),
            *self._wrong_values(step, focal),
        ]

    def part_of(self, rows: Iterable[int], group: Value, part: str, stratum: Value) -> list[int]:
        return [
            row
            for row in rows
            if (self.group_of[row] == group) == (part == "own") and self.stratum_of[row] == stratum
        ]

    def _shares(self, group: Value) -> dict[str, Shares]:
        leaks = self.leaked_count(self.plan.batch_size) > 0
        return {"own": self.own_shares(group), "leaked": self.leaked_shares(group) if leaks else {}}

    def _wrong_strata(self, step: Step, group: Value) -> list[str]:
        """Own anchors, leaked ones and whole batches hold the floor or the ceiling of exact shares."""
        found, shares = [], self._shares(group)
        for number, batch in enumerate(step.batches):
            leaked = self.leaked_count(len(batch))
            size = {"own": len(batch) - leaked, "leaked": leaked}
            for stratum in self.strata:
                exact = {p: size[p] * shares[p].get(stratum, Fraction(0)) for p in size}
                held = {p: len(self.part_of(batch, group, p, stratum)) for p in size}
                exact["all"], held["all"] = sum(exact.values()), sum(held.values())
                found += [
                    f"{held[p]} {p} anchors of {stratum} in batch {number}; exact is {float(exact[p]):.4g}"
                    for p in exact
                    if not floor(exact[p]) <= held[p] <= ceil(exact[p])
                ]
        return found

    # -- focus

    def near(self, focal: float) -> set[int]:
        """Return the anchors inside the window around a time."""
        if focal not in self._near:
            assert self.plan.focus is not None
            reach = self.plan.focus.window_hours + TOLERANCE
            self._near[focal] = {row for row, time in enumerate(self.clock) if abs(time - focal) <= reach}
        return self._near[focal]

    def focal_times(self, group: Value) -> list[float]:
        """Return the times of a group that a focus may be drawn at."""
        times = sorted({self.clock[row] for row in range(self.count) if self.group_of[row] == group})
        return times if self.fraction > 0 else [time for time in times if self._is_served(group, time)]

    def _is_served(self, group: Value, focal: float) -> bool:
        """Whether every stratum with a share has an anchor near a time, in the group and elsewhere."""
        shares = self._shares(group)
        pools = {
            "own": {s: self.cells.get((group, s), []) for s in self.strata},
            "leaked": {s: self.elsewhere(group, s) for s in self.strata},
        }
        near = self.near(focal)
        return all(
            not near.isdisjoint(pools[p][s]) for p in shares for s, share in shares[p].items() if share
        )

    def _wrong_sides(self, step: Step, group: Value, focal: float) -> list[str]:
        """Near and far hold their counts, but for what a side lacks and the other gives."""
        near, shares = self.near(focal), self._shares(group)
        if self.fraction == 0:
            far = [row for row in step.rows if row not in near]
            return [f"{len(far)} anchors from outside the window"] if far else []
        found = []
        for part in ("own", "leaked"):
            wanted = sum(self.near_count(len(batch), part) for batch in step.batches)
            low = high = 0
            for stratum in self.strata:
                share = shares[part].get(stratum, Fraction(0))
                least, most = self._asked_near(step, group, part, stratum, share, near)
                if least > most:
                    rows = self.part_of(step.rows, group, part, stratum)
                    came = len(near.intersection(rows))
                    found.append(f"{came} of {len(rows)} {part} anchors of {stratum} in the window")
                low, high = low + least, high + most
            if not (found or low <= wanted <= high):
                found.append(f"{low} to {high} {part} anchors asked from inside the window, not {wanted}")
        return found

    def _asked_near(
        self, step: Step, group: Value, part: str, stratum: Value, share: Fraction, near: set[int]
    ) -> tuple[int, int]:
        """Return how many anchors of a stratum may have been asked from inside, at least and at most."""
        rows = self.part_of(step.rows, group, part, stratum)
        least, most = self._came_near(rows, part, near)
        low = high = 0
        for batch in step.batches:
            mine = self.part_of(batch, group, part, stratum)
            inside = self.near_count(len(batch), part)
            outside = self.part_size(len(batch), part) - inside
            fewest = max(floor(inside * share), len(mine) - ceil(outside * share))
            largest = min(ceil(inside * share), len(mine) - floor(outside * share))
            if least == most:  # no side was short, so each batch shows what it asked for
                came = sum(row in near for row in mine)
                fewest, largest = max(fewest, came), min(largest, came)
            if fewest > largest:
                return 1, 0
            low, high = low + fewest, high + largest
        return max(low, least), min(high, most)

    def part_size(self, size: int, part: str) -> int:
        return self.leaked_count(size) if part == "leaked" else size - self.leaked_count(size)

    def _came_near(self, rows: Sequence[int], part: str, near: set[int]) -> tuple[int, int]:
        """Return the fewest and most anchors that may have been asked from inside, given what came.

        A side of which all came may have been asked for more. Cells give for themselves; few frames give
        together for all of their cells.
        """
        cell_of = {row: (self.group_of[row], self.stratum_of[row]) for row in rows}
        together = [{cell} for cell in set(cell_of.values())]
        if self.plan.locality is not None and rows:
            together = [set(cell_of.values())]
        low = high = 0
        for cells in together:
            came = [row for row in rows if cell_of[row] in cells]
            there = [row for cell in cells for row in self.cells[cell]]
            inside = sum(row in near for row in came)
            low += 0 if self._gave_all(came, there, part, near, side=False) else inside
            high += len(came) if self._gave_all(came, there, part, near, side=True) else inside
        return low, high

    def _gave_all(
        self, came: Sequence[int], there: Sequence[int], part: str, near: set[int], *, side: bool
    ) -> bool:
        """Whether as many anchors of one side came as it holds, or as the frames drawn hold of it.

        Own frames are drawn by side, so that some are drawn wherever there are any; fields of view are drawn
        for the near side, and frames of other groups before the window is asked.
        """
        held = [row for row in came if (row in near) == side]
        locality = self.plan.locality
        if locality is not None and (held or part == "leaked" or (locality.fovs is not None and not side)):
            frames = {self.frame_of[row] for row in came}
            there = [row for row in there if self.frame_of[row] in frames]
        return len(held) >= sum((row in near) == side for row in there)

    # -- repeats, caps, frames

    def range_of(self, row: int, focal: float | None) -> list[int]:
        """Return the anchors that might be drawn in place of one: of its cell, side and frame."""
        members = self.cells[self.group_of[row], self.stratum_of[row]]
        if self.plan.locality is not None:
            members = [one for one in members if self.frame_of[one] == self.frame_of[row]]
        aside = self.fraction == 0 or self.plan.locality is not None or bool(self.caps)
        if focal is None or not aside:
            return members
        near = self.near(focal)
        return [one for one in members if (one in near) == (row in near)]

    def _wrong_repeats(self, step: Step, group: Value, focal: float | None) -> list[str]:
        """No anchor comes twice unless its range is smaller than what is asked of it."""
        uses = Counter(step.rows)
        if len(uses) == len(step.rows):
            return []
        if self.caps:
            return self._free_repeats(step, uses, focal)
        found = []
        for members in self._ranges(step, group, focal):
            asked = sum(uses[row] for row in members)
            least, most = asked // len(members), -(-asked // len(members))
            wrong = [row for row in members if not least <= uses[row] <= most]
            if wrong:
                found.append(
                    f"anchor {wrong[0]} comes {uses[wrong[0]]} times, with {asked} from {len(members)}"
                )
        return found + self._needless_repeats(uses, group, focal)

    def _ranges(self, step: Step, group: Value, focal: float | None) -> list[list[int]]:
        plain = focal is None and self.plan.weighting is None and self.plan.locality is None
        pools = {
            tuple(
                self.elsewhere(group, self.stratum_of[row])
                if plain and self.group_of[row] != group
                else self.range_of(row, focal)
            )
            for row in step.rows
        }
        return [list(pool) for pool in sorted(pools)]

    def _free_repeats(self, step: Step, uses: Counter[int], focal: float | None) -> list[str]:
        twice = [row for row, count in uses.items() if count > 1]
        free = {row: self._free(step.rows, row, focal) for row in twice}
        return [f"anchor {row} comes twice while {free[row][0]} is free" for row in twice if free[row]]

    def _needless_repeats(self, uses: Counter[int], group: Value, focal: float | None) -> list[str]:
        """Frames repeat anchors only where all that were chosen, and any others as many, hold too few."""
        if self.plan.locality is None or self.plan.locality.hold > 1:
            return []
        found = []
        frames: defaultdict[tuple[Any, ...], dict[Value, list[int]]] = defaultdict(dict)
        for row in range(self.count):
            side = focal is None or row in self.near(focal)
            cell = (self.group_of[row], self.stratum_of[row], side)
            frames[cell].setdefault(self.frame_of[row], []).append(row)
        for cell, members in frames.items():
            if cell[0] != group:
                continue  # frames of several groups make up for each other
            chosen = [rows for rows in members.values() if any(uses[row] for row in rows)]
            asked = sum(uses[row] for rows in chosen for row in rows)
            largest = sum(sorted(map(len, members.values()), reverse=True)[: len(chosen)])
            if any(uses[row] > 1 for rows in chosen for row in rows) and largest >= asked:
                found.append(f"anchors of {cell} repeat, but frames with {largest} were there for {asked}")
        return found

    def _wrong_values(self, step: Step, focal: float | None) -> list[str]:
        """No value comes more often than its cap lets it, unless nothing else was free."""
        found = []
        for cap, value_of in self.caps:
            for value in sorted({value_of[row] for row in step.rows}):
                rows = [row for row in step.rows if value_of[row] == value]
                surplus = self._surplus(rows, cap.count, cap.min_hours)
                stuck = [row for row in rows if surplus and not self._free(step.rows, row, focal)]
                if len(stuck) < surplus:
                    found.append(f"{len(rows)} anchors of {cap.by} {value}, at most {cap.count} are allowed")
        return found

    def _surplus(self, rows: Sequence[int], count: int, min_hours: float | None) -> int:
        if min_hours is None:
            return max(len(rows) - count, 0)
        times = sorted(self.clock[row] for row in rows)
        pairs = zip(times, times[count:], strict=False)
        return int(any(last - first < min_hours - TOLERANCE for first, last in pairs))

    def _free(self, rows: Sequence[int], row: int, focal: float | None) -> list[int]:
        """Return the anchors that might come in place of one of a step's anchors without any conflict."""
        others = list(rows)
        others.remove(row)
        return [
            one
            for one in self.range_of(row, focal)
            if one not in others and all(self._fits(one, others, *cap) for cap in self.caps)
        ]

    def _fits(self, row: int, others: Sequence[int], cap: Any, value_of: Sequence[Value]) -> bool:
        same = [one for one in others if value_of[one] == value_of[row]]
        if cap.min_hours is not None:
            reach = cap.min_hours + TOLERANCE
            same = [one for one in same if abs(self.clock[one] - self.clock[row]) < reach]
        return len(same) < cap.count

    def _too_many_frames(self, step: Step) -> list[str]:
        if self.plan.locality is None:
            return []
        most = self.plan.locality.frames or self.plan.locality.fovs or 0
        held = len({self.frame_of[row] for row in step.rows})
        return [f"{held} frames, at most {most} are allowed"] if held > most else []


def largest_gap_of_visits(visits: Mapping[int, int], cells: Iterable[Sequence[int]]) -> int:
    """Return by how much the visits of two anchors of one cell differ at the most."""
    seen = [[visits[row] for row in rows] for rows in cells]
    return max(max(counts) - min(counts) for counts in seen)


def _by_level(
    able: Sequence[Value], anchors: Mapping[Value, int], plan: BatchPlan, weights: Mapping[Any, Any]
) -> Shares:
    """Split steps from column to column, at each among the values that occur with those before."""
    assert plan.grouping is not None
    names = list(plan.grouping.by)
    able = [g for g in able if all(weights[n][v] for n, v in zip(names, g, strict=True) if n in weights)]
    shares: dict[Value, Fraction] = {(): Fraction(1)}
    for level, name in enumerate(names):
        below: dict[Value, Fraction] = {}
        for prefix, share in shares.items():
            parts: dict[Value, Fraction] = {}
            for group in (g for g in able if g[:level] == prefix):
                asked = Fraction(weights[name][group[level]]) if name in weights else Fraction(anchors[group])
                before = parts.get(group[: level + 1], Fraction(0))
                parts[group[: level + 1]] = asked if name in weights else before + asked
            below |= {value: share * part for value, part in _normalised(parts).items()}
        shares = below
    return shares


def _values(table: pd.DataFrame, by: str | Sequence[str]) -> list[Value]:
    """Return the values of one or several columns, row by row; () of none."""
    names = [by] if isinstance(by, str) else list(by)
    return list(zip(*(table[name].tolist() for name in names), strict=True)) or [()] * len(table)


def _label(value: Value) -> Any:
    """Return a value as mappings of a plan name it."""
    return value[0] if len(value) == 1 else value


def _normalised(values: Mapping[Value, Fraction]) -> Shares:
    """Return values over their sum; {} where that is 0."""
    whole = sum(values.values())
    return {name: value / whole for name, value in values.items()} if whole else {}
