"""What a random number is for: a word of its own in every key, so that no two uses share bits."""

from enum import IntEnum


class Purpose(IntEnum):
    """Uses of keyed random numbers."""

    GROUP_ORDER = 1
    FOCAL_TIME = 2
    PASS = 3
    BEYOND = 4
    CONFLICT = 5
    FOCAL_DRAW = 6
    POSITIVE = 8
    SPLIT = 9
    ROUND = 10
    LEFT_OUT = 11
    EPOCH = 12
    LINE = 13
    FRAME = 14
