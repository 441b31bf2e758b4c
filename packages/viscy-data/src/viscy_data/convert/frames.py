"""From the axes of a TIFF file to frames (C, Z, Y, X): what the file states, what is asked, what is refused.

The samples of a pixel (red, green, blue) are channels. An axis that the file does not name is a channel in
a movie folder and a slice in a Cell Tracking Challenge sequence, which their layouts say, and that is
remarked; where two axes have no name it cannot be told which is which, and the axes are asked for.
"""

from typing import Any, Final

from numpy.typing import NDArray

from viscy_data.errors import InvalidInputError
from viscy_data.files.tiff import TiffImage

AXES: Final = "TCZYX"
"""Letters of axes that can be asked for; C also means the samples of a pixel."""
_ORDER: Final = "CSZYX"
_COLOURS: Final = ("red", "green", "blue", "alpha")


def check_axes(name: str, value: str) -> str:
    """Return axes that are asked for.

    Raises
    ------
    InvalidInputError
        They are not Y and X, and T, C and Z where there are any, each once.
    """
    if not (set("YX") <= set(value) <= set(AXES) and len(set(value)) == len(value)):
        raise InvalidInputError(
            f"{name}={value!r}: one letter for each dimension of a file, in its order: Y and X, and T, C and "
            "Z where there are any, such as ZCYX."
        )
    return value


def frame_axes(image: TiffImage, asked: str | None, unnamed: str) -> str:
    """Return the letter of each dimension of a file: T, C, S, Z, Y, X, or Q for one of length 1.

    Parameters
    ----------
    image
        The file.
    asked
        Letters that count whatever the file states; None: as stated.
    unnamed
        What an axis is that the file does not name: C or Z, or "" where that cannot be told.

    Raises
    ------
    InvalidInputError
        The letters do not fit the file, or it does not state enough.
    """
    if asked is not None:
        return _asked(image, asked)
    long = "".join(axis for axis, length in zip(image.axes, image.shape, strict=True) if length > 1)
    taken = "CS" if unnamed == "C" else unnamed
    unclear = "Q" in long and (not unnamed or long.count("Q") > 1 or any(axis in long for axis in taken))
    axes = _unnamed(image, unnamed)
    named = axes.replace("Q", "")
    if unclear or len(set(named)) != len(named) or not set("YX") <= set(named):
        raise InvalidInputError(
            f"{image.path}: shape={image.shape}, of which the file states the axes {image.axes!r} (Q: not "
            "stated); say which is which with --axes, such as --axes ZCYX (in Python axes='ZCYX')."
        )
    return axes


def _unnamed(image: TiffImage, letter: str) -> str:
    """Give an axis without a name a letter, where it is longer than 1."""
    pairs = zip(image.axes, image.shape, strict=True)
    return "".join(letter if axis == "Q" and length > 1 else axis for axis, length in pairs)


def _asked(image: TiffImage, asked: str) -> str:
    """Fit letters to a file: to all of its axes, or to those longer than 1."""
    long = [length > 1 or axis in "YX" for axis, length in zip(image.axes, image.shape, strict=True)]
    if len(asked) == sum(long):
        letters = iter(asked)
        axes = "".join(next(letters) if one else "Q" for one in long)
    else:
        axes = asked
    if len(axes) != len(long):
        raise InvalidInputError(
            f"{image.path}: shape={image.shape}, of which the file states the axes {image.axes!r} (Q: not "
            f"stated), does not fit the axes {asked}; give one letter for each dimension."
        )
    samples = "S" in image.axes
    return "".join(
        "S" if samples and mine == "C" and theirs == "S" else mine
        for mine, theirs in zip(axes, image.axes, strict=True)
    )


def frame_shape(image: TiffImage, axes: str) -> tuple[int, int, int, int]:
    """Return (C, Z, Y, X) of each time point of a file with these axes.

    Raises
    ------
    InvalidInputError
        Pixels are places in a table of colours.
    """
    if image.is_indexed:
        raise InvalidInputError(
            f"{image.path}: its pixels are places in a table of colours, not intensities; save it in "
            "grey or as RGB."
        )
    length = dict(zip(axes, image.shape, strict=True))
    return length.get("C", 1) * length.get("S", 1), length.get("Z", 1), length["Y"], length["X"]


def to_frame(pixels: NDArray[Any], axes: str, shape: tuple[int, int, int, int]) -> NDArray[Any]:
    """Return the pixels of one time point as (C, Z, Y, X); ``axes`` are theirs, without T."""
    named = [axis for axis in axes if axis != "Q"]
    kept = pixels.reshape([length for axis, length in zip(axes, pixels.shape, strict=True) if axis != "Q"])
    order = [named.index(axis) for axis in _ORDER if axis in named]
    return kept.transpose(order).reshape(shape)


def colours(axes: str, image: TiffImage) -> tuple[str, ...] | None:
    """Return the names of channels that are the samples of a pixel; None where they are something else."""
    if "S" not in axes or "C" in axes:
        return None
    count = image.shape[axes.index("S")]
    return _COLOURS[:count] if count in (3, 4) else None
