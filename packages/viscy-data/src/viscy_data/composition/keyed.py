"""Random numbers and permutations that are functions of a key, not of a history.

A *key* is a few integers (seed, purpose, epoch, batch, ...), each a word of its own. `words` mixes
a key to 64 random bits; `below` turns bits into an integer under a bound; `permute` is a keyed
permutation of ``range(n)`` of which any single value can be asked for.

The permutation is a Feistel network on a rectangle that just holds ``range(n)``, walked until it
lands inside (Black and Rogaway 2002, "Ciphers with arbitrary finite domains"). It keeps no table:
the cost of a value does not depend on n. All functions work elementwise on broadcast arrays.
"""

from enum import IntEnum
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Words = NDArray[np.uint64]
Half = NDArray[np.uint32]

LIMIT: Final = 2**32 - 1
"""Largest domain that `permute` takes."""

_ROUNDS: Final = 4
_TINY: Final = 64
_TINY_ROUNDS: Final = 12
"""Halves of one to three bits need more rounds before pairs of values look independent."""
_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX_1: Final = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2: Final = np.uint64(0x94D049BB133111EB)
_SHIFT_1, _SHIFT_2, _SHIFT_3 = np.uint64(30), np.uint64(27), np.uint64(31)
_START: Final = np.uint64(0x243F6A8885A308D3)
_FOLD_1: Final = np.uint32(0x85EBCA6B)
_FOLD_2: Final = np.uint32(0xC2B2AE35)
_STEPS: Final = tuple(np.uint32((turn + 1) * 0x9E3779B9 & 0xFFFFFFFF) for turn in range(_TINY_ROUNDS))


class Purpose(IntEnum):
    """What a random number is for: a word of every key, so that no two uses share bits."""

    GROUP_ORDER = 1
    FOCAL_TIME = 2
    PASS = 3
    DRAW = 4
    LEAK = 5
    FRAME = 6
    REDRAW = 7
    POSITIVE = 8
    SPLIT = 9
    STAGE = 10
    Z_SHIFT = 11


def words(*key: ArrayLike) -> Words:
    """Mix the words of a key to 64 random bits.

    Parameters
    ----------
    *key
        Integers or integer arrays that broadcast together; negative values wrap.

    Returns
    -------
    Array of uint64, of the broadcast shape (at least one dimension).

    Notes
    -----
    The finaliser is the one of SplitMix64 (Steele, Lea and Flood 2014), applied after each word, so
    that exchanging two words or moving one between places gives unrelated bits.
    """
    leading = next((place for place, word in enumerate(key) if not isinstance(word, int)), len(key))
    state = _mixed(key[:leading])
    for word in key[leading:]:
        state = _mix_in(state, np.atleast_1d(np.asarray(word)).astype(np.uint64))
    return state


@lru_cache(maxsize=256)
def _mixed(key: tuple[int, ...]) -> Words:
    """Mix plain integers; most keys of one block of batches begin with the same ones."""
    state = np.full(1, _START)
    for word in key:
        state = _mix_in(state, np.full(1, word & 0xFFFFFFFFFFFFFFFF, dtype=np.uint64))
    state.flags.writeable = False
    return state


def below(bits: Words, bound: ArrayLike) -> NDArray[np.int64]:
    """Turn random bits into integers in ``range(bound)``; bounds are at most 2**32.

    The value is the high word of ``bits * bound``, so that no value is favoured by more than
    ``bound / 2**64``.
    """
    limit = np.atleast_1d(np.asarray(bound)).astype(np.uint64)
    half = np.uint64(32)
    low = (bits & np.uint64(0xFFFFFFFF)) * limit >> half
    return ((bits >> half) * limit + low >> half).astype(np.int64)


def permute(index: ArrayLike, size: ArrayLike, key: ArrayLike) -> NDArray[np.int64]:
    """Return where a keyed permutation of ``range(size)`` sends ``index``.

    Parameters
    ----------
    index
        Places in ``range(size)``.
    size
        Sizes of the domains, 1 to `LIMIT`.
    key
        One uint64 per permutation, from `words`.

    Returns
    -------
    Array of int64 of the broadcast shape (at least one dimension).
    """
    parts = np.broadcast_arrays(
        np.atleast_1d(np.asarray(size)).astype(np.uint32),
        *_halves(np.atleast_1d(np.asarray(key, dtype=np.uint64))),
        np.atleast_1d(np.asarray(index)).astype(np.uint32),
    )
    domain, low, high, value = (part.reshape(-1) for part in parts)
    value = _encipher(value, domain, low, high)
    outside = np.flatnonzero(value >= domain)
    while outside.size:
        value[outside] = _encipher(value[outside], domain[outside], low[outside], high[outside])
        outside = outside[value[outside] >= domain[outside]]
    return value.reshape(parts[0].shape).astype(np.int64)


def _mix_in(state: Words, word: Words) -> Words:
    state = state ^ word
    state += _GOLDEN
    state ^= state >> _SHIFT_1
    state *= _MIX_1
    state ^= state >> _SHIFT_2
    state *= _MIX_2
    state ^= state >> _SHIFT_3
    return state


def _halves(key: Words) -> tuple[Half, Half]:
    return key.astype(np.uint32), (key >> np.uint64(32)).astype(np.uint32)


def _rectangle(size: Half) -> tuple[Half, Half]:
    """Return (shift, rows): ``rows * 2**shift`` is the least such area that holds the domain.

    The width is a power of two near the square root, so that splitting a place takes no division
    and fewer than one value in sqrt(n) falls outside.
    """
    # the exponent bits of a float32 are the length in bits, or one more just below a power of two
    length = (size.astype(np.float32).view(np.uint32) >> np.uint32(23)) - np.uint32(126)
    shift = length >> np.uint32(1)
    rows = ((size - np.uint32(1)) >> shift) + np.uint32(1)
    return shift, rows


def _encipher(place: Half, size: Half, low_key: Half, high_key: Half) -> Half:
    shift, rows = _rectangle(size)
    value = _feistel(range(_ROUNDS), place, shift, rows, low_key, high_key)
    tiny = np.flatnonzero(size < _TINY)
    if tiny.size:
        parts = (part[tiny] for part in (value, shift, rows, low_key, high_key))
        value[tiny] = _feistel(range(_ROUNDS, _TINY_ROUNDS), *parts)
    return value


def _feistel(rounds: range, place: Half, shift: Half, rows: Half, low_key: Half, high_key: Half) -> Half:
    mask, unused = (np.uint32(1) << shift) - np.uint32(1), np.uint32(32) - shift
    row, column = place >> shift, place & mask
    for turn in rounds:
        step = _STEPS[turn]
        column = (column + (_scramble(row + (low_key ^ step)) >> unused)) & mask
        # the top 16 bits times the number of rows (at most 2**16), high half: a number below rows
        row = row + ((_scramble(column + (high_key ^ step)) >> np.uint32(16)) * rows >> np.uint32(16))
        row = np.minimum(row, row - rows)  # below 0 wraps to a huge number, so this is row modulo rows
    return (row << shift) | column


def _scramble(value: Half) -> Half:
    """Mix 32 bits into the high ones (the multipliers of MurmurHash3's finaliser, Appleby 2011)."""
    value = value * _FOLD_1
    value ^= value >> np.uint32(15)
    value *= _FOLD_2
    return value
