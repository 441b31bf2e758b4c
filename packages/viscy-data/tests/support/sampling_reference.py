"""A slow, obvious reading of the sampling contract: loops, dictionaries and sets, no arrays.

`Reference` is told the table and the sampler's flat arguments, and is shown batches one after the
other; it raises AssertionError where a batch, or the batches so far, break a promise. It shares no
code with the implementation. *own* anchors are of the batch's group, *leaked* ones of others.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor, log2
from typing import Any

Group = str
Stratum = str
Cell = tuple[Group, Stratum]
Interval = tuple[int, int]

TOLERANCE = 1e-4


@dataclass(frozen=True)
class Asked:
    """The flat arguments that say what a batch shall hold."""

    batch_size: int
    aware: bool = True
    leaky: float = 0.0
    weights: Mapping[str, float] | None = None
    balanced: bool = True
    ratio: Mapping[str, float] | None = None
    focused: bool = False
    window: float = 2.0
    outside: float = 0.3
    drop_last: bool = True

    def arguments(self) -> dict[str, Any]:
        """Return them as the sampler takes them."""
        return {
            "batch_size": self.batch_size,
            "experiment_aware": self.aware,
            "leaky": self.leaky,
            "experiment_weights": self.weights,
            "condition_balanced": self.balanced,
            "condition_ratio": self.ratio,
            "temporal_enrichment": self.focused,
            "temporal_window_hours": self.window,
            "temporal_global_fraction": self.outside,
            "drop_last": self.drop_last,
        }


class Reference:
    """Checks batches against the contract, batch by batch and over everything seen so far."""

    def __init__(
        self, groups: Sequence[str], strata: Sequence[str], hours: Sequence[float], asked: Asked
    ) -> None:
        self.asked = asked
        self.group_of = list(groups) if asked.aware else [""] * len(groups)
        self.stratum_of = list(strata) if asked.balanced else [""] * len(groups)
        self.hours = list(hours)
        self.windowed = asked.focused and asked.outside < 1
        self.cells: dict[Cell, list[int]] = {}
        for row, cell in enumerate(zip(self.group_of, self.stratum_of, strict=True)):
            self.cells.setdefault(cell, []).append(row)
        self.groups = sorted(set(self.group_of))
        self.strata = sorted(set(self.stratum_of))
        self.times = {g: sorted({self.hours[r] for r in self._rows_of(g)}) for g in self.groups}
        self.visits = dict.fromkeys(range(len(self.group_of)), 0)
        self.anchors_by_visits = {cell: Counter({0: len(rows)}) for cell, rows in self.cells.items()}
        self.group_batches: Counter[Group] = Counter()

    def _rows_of(self, group: Group) -> list[int]:
        return [row for (g, _), rows in self.cells.items() if g == group for row in rows]

    def size(self, group: Group, stratum: Stratum) -> int:
        return len(self.cells.get((group, stratum), ()))

    def size_elsewhere(self, group: Group, stratum: Stratum) -> int:
        return sum(self.size(other, stratum) for other in self.groups if other != group)

    def ratio(self, stratum: Stratum) -> Fraction:
        given = self.asked.ratio if self.asked.balanced else None
        return Fraction(1) if given is None else Fraction(given[stratum])

    def own_shares(self, group: Group) -> dict[Stratum, Fraction] | None:
        """Shares of the strata among a group's own anchors; None where all are left out."""
        return _normalised({s: self.ratio(s) if self.size(group, s) else Fraction(0) for s in self.strata})

    def leaked_shares(self, group: Group) -> dict[Stratum, Fraction]:
        own = self.own_shares(group)
        assert own is not None
        held = {s: self.size_elsewhere(group, s) > 0 for s in self.strata}
        shares = _normalised({s: own[s] if held[s] else Fraction(0) for s in self.strata})
        return (
            shares or _normalised({s: self.ratio(s) if held[s] else Fraction(0) for s in self.strata}) or {}
        )

    def group_shares(self) -> dict[Group, Fraction]:
        weights = self.asked.weights if self.asked.aware else None
        raw = {
            g: (Fraction(len(self._rows_of(g))) if weights is None else Fraction(weights[g]))
            if self.own_shares(g)
            else Fraction(0)
            for g in self.groups
        }
        return _normalised(raw) or {}

    def leaked_count(self, size: int) -> int:
        return min(round(size * self.asked.leaky), size - 1) if self.asked.aware else 0

    def outside_count(self, size: int) -> int:
        return round(size * self.asked.outside) if self.windowed else size

    def epoch_sizes(self) -> list[int]:
        """Sizes of an epoch's batches."""
        full, rest = divmod(len(self.group_of), self.asked.batch_size)
        partial = [rest] if rest and not self.asked.drop_last else []
        return [self.asked.batch_size] * full + partial

    def is_telling(self) -> bool:
        """Whether every batch tells which group is its own, by majority."""
        return all(2 * self.leaked_count(size) < size for size in self.epoch_sizes())

    def check_epoch(self, epochs_before: int, batches: Sequence[Sequence[int]]) -> None:
        """Check one whole epoch; epochs come in order from 0."""
        assert [len(batch) for batch in batches] == self.epoch_sizes()
        groups = Counter(self.check_batch(batch) for batch in batches)
        self.group_batches.update(groups)
        if not self.is_telling():
            return
        done = epochs_before + 1
        for group, share in self.group_shares().items():
            exact = share * len(batches)
            assert floor(exact) <= groups[group] <= ceil(exact), (group, exact, groups)
            drift = abs(self.group_batches[group] - done * exact)
            assert drift <= 1 + log2(done), (group, done, float(drift))

    def check_batch(self, batch: Sequence[int], *, covers: bool = True) -> Group:
        """Check one batch and return its group; ``covers``: it is no rounding batch."""
        assert all(type(row) is int and 0 <= row < len(self.group_of) for row in batch)
        leaked = self.leaked_count(len(batch))
        count = Counter(self.group_of[row] for row in batch)
        shares = self.group_shares()
        possible = [g for g in self.groups if count[g] == len(batch) - leaked and shares[g]]
        assert possible, f"no group gives {len(batch) - leaked} of {count}"
        problems = []
        for group in possible:
            try:
                self._check_parts(group, batch)
            except AssertionError as problem:
                problems.append(problem)
            else:
                if covers and not self.windowed and self.is_telling():
                    self._check_coverage(group, batch)
                return group
        raise problems[0]

    def _check_parts(self, group: Group, batch: Sequence[int]) -> None:
        own_rows = [row for row in batch if self.group_of[row] == group]
        leaked_rows = [row for row in batch if self.group_of[row] != group]
        own_exact = _times(len(own_rows), self.own_shares(group) or {})
        leaked_exact = _times(len(leaked_rows), self.leaked_shares(group) if leaked_rows else {})
        own = Counter(self.stratum_of[row] for row in own_rows)
        leaked = Counter(self.stratum_of[row] for row in leaked_rows)
        _check_rounding("own", own, own_exact, self.strata)
        _check_rounding("leaked", leaked, leaked_exact, self.strata)
        whole = {s: own_exact.get(s, Fraction(0)) + leaked_exact.get(s, Fraction(0)) for s in self.strata}
        _check_rounding("whole", own + leaked, whole, self.strata)
        self._check_repeats(group, own_rows, leaked_rows)
        if self.windowed:
            assert any(self._fits(group, own_rows, leaked_rows, focal) for focal in self.times[group]), (
                f"no focal time of {group!r} explains the batch"
            )

    def _check_repeats(self, group: Group, own_rows: Sequence[int], leaked_rows: Sequence[int]) -> None:
        for stratum in self.strata:
            own = Counter(r for r in own_rows if self.stratum_of[r] == stratum)
            _check_uses(own, self.size(group, stratum))
            leaked = Counter(r for r in leaked_rows if self.stratum_of[r] == stratum)
            _check_uses(leaked, self.size_elsewhere(group, stratum))

    def _check_coverage(self, group: Group, batch: Sequence[int]) -> None:
        for row in batch:
            if self.group_of[row] == group:
                by_visits = self.anchors_by_visits[group, self.stratum_of[row]]
                by_visits[self.visits[row]] -= 1
                self.visits[row] += 1
                by_visits[self.visits[row]] += 1
        for stratum in {self.stratum_of[row] for row in batch}:
            seen = [n for n, count in self.anchors_by_visits.get((group, stratum), {}).items() if count]
            assert not seen or max(seen) - min(seen) <= 1, (group, stratum, seen)

    def _fits(self, group: Group, own_rows: Sequence[int], leaked_rows: Sequence[int], focal: float) -> bool:
        """Whether one focal time explains what lies inside the window, with the rule of swaps."""
        size = len(own_rows) + len(leaked_rows)
        outside = self.outside_count(size)
        leaked_outside = round(Fraction(len(leaked_rows) * outside, size))
        parts = [
            (own_rows, outside - leaked_outside, self.own_shares(group) or {}),
            (leaked_rows, leaked_outside, self.leaked_shares(group) if leaked_rows else {}),
        ]
        return all(self._part_fits(rows, out, shares, focal) for rows, out, shares in parts)

    def _part_fits(
        self, rows: Sequence[int], outside: int, shares: Mapping[Stratum, Fraction], focal: float
    ) -> bool:
        inside = len(rows) - outside
        low = high = 0
        for stratum in self.strata:
            share = shares.get(stratum, Fraction(0))
            mine = [row for row in rows if self.stratum_of[row] == stratum]
            least, most = self._asked_inside(mine, focal)
            least = max(least, floor(inside * share), len(mine) - ceil(outside * share))
            most = min(most, ceil(inside * share), len(mine) - floor(outside * share))
            if least > most:
                return False
            low, high = low + least, high + most
        return low <= inside <= high

    def _asked_inside(self, rows: Sequence[int], focal: float) -> Interval:
        """Least and most anchors that may have been asked from inside, given what came."""
        low = high = 0
        for cell, count in Counter((self.group_of[r], self.stratum_of[r]) for r in rows).items():
            members = self.cells[cell]
            window = sum(self._is_inside(row, focal) for row in members)
            came = sum(self._is_inside(r, focal) for r in rows if self.group_of[r] == cell[0])
            if count >= len(members):  # all of the cell, so either side gave what it has
                high += count
            elif came == window:
                low, high = low + window, high + count
            elif came == count - (len(members) - window):
                high += came
            else:
                low, high = low + came, high + came
        return low, high

    def _is_inside(self, row: int, focal: float) -> bool:
        return abs(float(self.hours[row]) - float(focal)) <= self.asked.window + TOLERANCE

    def warnings(self) -> list[str]:
        """What construction warns of, one word each."""
        shares, asked, found = self.group_shares(), self.asked, []
        sizes = set(self.epoch_sizes())
        if any(not self.own_shares(g) for g in self.groups):
            found.append("idle")
        if any(self.ratio(s) and not self.size(g, s) for g in self.groups for s in self.strata):
            found.append("lacking")
        size = min(asked.batch_size, len(self.group_of))
        leaked = self.leaked_count(size)
        if asked.aware and asked.leaky > 0 and leaked == 0:
            found.append("leak")
        if self.windowed and asked.outside > 0 and self.outside_count(size) == 0:
            found.append("global")
        if any(self._is_short(g, n) for g in self.groups if shares[g] for n in sizes):
            found.append("small")
        return sorted(found)

    def _is_short(self, group: Group, size: int) -> bool:
        """Whether a batch may take more from a cell, or from all other groups, than they hold."""
        leaked = self.leaked_count(size)
        own = _times(size - leaked, self.own_shares(group) or {})
        away = _times(leaked, self.leaked_shares(group) if leaked else {})
        return any(ceil(n) > self.size(group, s) for s, n in own.items()) or any(
            ceil(n) > self.size_elsewhere(group, s) for s, n in away.items()
        )


def _normalised(values: Mapping[Stratum, Fraction]) -> dict[Stratum, Fraction] | None:
    total = sum(values.values())
    return {name: value / total for name, value in values.items()} if total else None


def _times(count: int, shares: Mapping[Stratum, Fraction]) -> dict[Stratum, Fraction]:
    return {name: count * share for name, share in shares.items()}


def _check_rounding(
    part: str, held: Mapping[Stratum, int], exact: Mapping[Stratum, Fraction], strata: Sequence[Stratum]
) -> None:
    for stratum in strata:
        wanted, count = exact.get(stratum, Fraction(0)), held.get(stratum, 0)
        assert floor(wanted) <= count <= ceil(wanted), (part, stratum, float(wanted), count)


def _check_uses(used: Mapping[int, int], members: int) -> None:
    """Each of so many members is used the floor or the ceiling of the average."""
    count = sum(used.values())
    assert members or not count
    if members:
        least, most = count // members, -(-count // members)
        assert all(times <= most for times in used.values()), (count, members, used)
        assert least == 0 or (len(used) == members and min(used.values()) >= least), (count, members, used)
