"""Which anchors a demand draws: passes through a range in a keyed order.

A cell is drawn from again and again. Independent draws would visit some anchors four times while others wait,
and would repeat anchors inside a batch. So a range of n slots is gone through in *passes*: draw number p of
all that were ever made is in pass p // n, at place p % n of a keyed permutation of that pass. Nothing is
kept: how many draws came before follows from counts (`order`, `counts`), and one value of a permutation costs
the same whatever n is.

A step that ends one pass and begins the next could take an anchor from both. So a pass *opens* with anchors
that the last step did not take: of its first 2 m places (m is the most that a step takes) m anchors that are
not among the last m of the pass before come first, in their order, the others next. In cells of at least 3 m
anchors there always are so many and every pass remains a permutation: the visits of two anchors differ by at
most one. Smaller cells do without; what they repeat inside a step is put apart afterwards (`apart`).

Where anchors weigh, a pass would hold heavy anchors several times close together. There a demand of k draws
takes slots at equal distances along a line of slots instead, from a random beginning: an anchor whose share
is below one is then drawn with exactly that probability. So that any two anchors can meet, the line is made
of blocks of a few anchors, cut anew in every step, of random length and in a keyed order; only an anchor cut
by the edge of a block can come twice.
"""

import numpy as np
from numpy.typing import NDArray

from viscy_data.composition import keyed
from viscy_data.composition.demands import Demands
from viscy_data.composition.ranges import Slots, expand

Integers = NDArray[np.int64]


def draw(demands: Demands, slots: Slots | None) -> tuple[Integers, Integers, NDArray[np.bool_]]:
    """Return the places drawn, (sum of counts,), the demand of each, and which are *settled*.

    Where anchors weigh, a range that holds less than its demand gives each anchor as often as it fits: that
    is settled, and only what is left is drawn by weight and may be put apart.
    """
    request, number = expand(demands.count)
    if slots is None:
        place = demands.ranges.place(_in_passes(demands, request, number), request)
        return place, request, np.zeros(place.size, dtype=np.bool_)
    size = demands.ranges.size
    turns = demands.count // size * size
    is_turn = number < turns[request]
    in_slots = demands.ranges.in_slots(slots)
    place = slots.place(
        in_slots.place(_spaced(demands, request, number, turns, in_slots.size, slots), request)
    )
    if is_turn.any():
        place = np.where(is_turn, demands.ranges.place(number % size[request], request), place)
    return place, request, is_turn


def repeats_itself(demands: Demands, slots: Slots | None) -> NDArray[np.bool_]:
    """Return (demands,) whether one may draw an anchor twice although its range holds enough of them."""
    size = demands.ranges.size
    if slots is not None:
        return demands.count % size > 1
    ends_pass = demands.before % np.maximum(size, 1) + demands.count > size
    return (demands.most > 0) & ends_pass & (size < 3 * demands.most)


def _in_passes(demands: Demands, request: Integers, number: Integers) -> Integers:
    """Return numbers (draws,) in ranges."""
    size = demands.ranges.size
    done, first = np.divmod(demands.before, size)
    key = keyed.words(demands.key, done)
    n, place, bits = size[request], first[request] + number, key[request]
    beyond = np.flatnonzero((first + demands.count > size)[request])
    beyond = beyond[place[beyond] >= n[beyond]]
    if beyond.size:
        turns, place[beyond] = np.divmod(place[beyond], n[beyond])
        of = request[beyond]
        bits[beyond] = keyed.words(demands.key[of], done[of] + turns)
    members = keyed.permute(place, n, bits)
    opens = (demands.most > 0) & (size >= 3 * demands.most)
    near_opening = np.flatnonzero(
        (opens & ((first < 2 * demands.most) | (first + demands.count > size)))[request]
    )
    near_opening = near_opening[place[near_opening] < 2 * demands.most[request[near_opening]]]
    if near_opening.size:
        of = request[near_opening]
        turn = done[of] + (first[of] + number[near_opening]) // size[of]
        members[near_opening] = _openings(demands, of, turn, place[near_opening])
    return members


def _openings(demands: Demands, request: Integers, turn: Integers, place: Integers) -> Integers:
    """Return numbers in ranges for ``place`` (draws,) among the first of pass ``turn`` (draws,)."""
    turns = int(turn.max()) + 1
    _, one, back = np.unique(request * turns + turn, return_index=True, return_inverse=True)
    of, turn = request[one], turn[one]  # (passes,) each pass once
    size, most, key = demands.ranges.size[of], demands.most[of], demands.key[of]
    # the first 2 m of each pass, and the last m of the pass before
    opening, number = expand(2 * most)
    member = keyed.permute(number, size[opening], keyed.words(key, turn)[opening])
    before, nth = expand(most)
    last = keyed.permute((size - most)[before] + nth, size[before], keyed.words(key, turn - 1)[before])
    span = int(size.max())
    is_new = ~np.isin(opening * span + member, before * span + last)
    is_new |= (turn == 0)[opening]
    start = np.cumsum(2 * most) - 2 * most
    nth_new = np.cumsum(is_new)
    nth_new -= (nth_new - is_new)[start][opening]
    comes_first = is_new & (nth_new <= most[opening])
    member = member[np.argsort(2 * opening + ~comes_first, kind="stable")]
    found: Integers = member[start[back] + place]
    return found


def _spaced(
    demands: Demands, request: Integers, number: Integers, turns: Integers, size: Integers, slots: Slots
) -> Integers:
    """Return numbers of slots (draws,) in ranges of ``size`` (demands,) slots, at equal distances."""
    count = np.maximum(demands.count - turns, 1)
    # (demands,) random numbers below a bound, of three kinds
    shift, start, more = (keyed.below(keyed.words(demands.key, -kind), size) for kind in (1, 2, 3))
    # of random length: from 5 to 13 heaviest anchors, or from one to two distances between draws
    block = np.minimum(slots.most * 5 + more % (8 * slots.most), (size + more) // count)
    block = np.maximum(block, 1)
    blocks = size // block
    # draw j of k is in the j-th k-th part of the line, as far in it as all others
    drawn, n = np.maximum(number - turns[request], 0), size[request]
    nth, inside = np.divmod((drawn * n + shift[request]) // count[request], block[request])
    is_block = nth < blocks[request]  # what is left behind the last block stays where it is
    moved = keyed.permute(np.where(is_block, nth, 0), np.maximum(blocks, 1)[request], demands.key[request])
    found: Integers = (np.where(is_block, moved, nth) * block[request] + inside + start[request]) % n
    return found
