"""The report's pictures: arrays in, PNG out.

Colours are those of `viscy_data.pages.colours`, and an embedding has one throughout (`curves.COLOURS`).
Drawn on matplotlib's Agg canvas: no window, no global figure.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from io import BytesIO
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from numpy.typing import NDArray

from viscy_data import shown
from viscy_data.pages.colours import GREY, LINE, SOFT, UNKNOWN
from viscy_train.report.curves import COLOURS

type FloatArray = NDArray[np.floating[Any]]
type IntArray = NDArray[np.int64]

_STYLE: Final[dict[Any, Any]] = {
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": SOFT,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "legend.frameon": False,
    "figure.facecolor": "white",
    # a name is text: neither "$" nor a user's settings make a formula of it
    "text.parse_math": False,
    "text.usetex": False,
    "font.family": "DejaVu Sans",
}


@contextmanager
def drawing(width: float, height: float) -> Iterator[Figure]:
    """Give an empty figure, in inches, in the report's style."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure


def drawn(name: object, most: int = 24) -> str:
    r"""Return a name as pictures show it: short, and what the font has no shape for is escaped.

    Examples
    --------
    >>> drawn("$\\frac$"), drawn("DENV \u4e2d")
    ('$\\frac$', 'DENV \\u4e2d')
    """
    shapes = _shapes()
    told = shown(name, most)
    return "".join(
        one if ord(one) in shapes else one.encode("unicode_escape").decode("ascii") for one in told
    )


@lru_cache(maxsize=1)
def _shapes() -> frozenset[int]:
    """Return the characters that the font of all pictures can draw, which comes with matplotlib."""
    return frozenset(get_font(findfont("DejaVu Sans")).get_charmap())


def png_of(figure: Figure) -> bytes:
    """Return a figure as PNG."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()


def colours(codes: IntArray, palette: Sequence[str]) -> FloatArray:
    """Return (N, 3) colours of codes; -1 is not known, and a palette that is too short repeats.

    Examples
    --------
    >>> colours(np.array([0, -1]), ["#ffffff"]).round(1).tolist()
    [[1.0, 1.0, 1.0], [0.7, 0.7, 0.8]]
    """
    table = np.array([to_rgb(one) for one in palette])
    shown = table[codes % len(palette)]
    shown[codes < 0] = to_rgb(UNKNOWN)
    return shown


def loss_figure(curves: Mapping[str, FloatArray]) -> bytes:
    """Draw loss against step, thin as logged and thick as a running mean."""
    with drawing(10, 3.4) as figure:
        axes = figure.subplots()
        for (name, losses), colour in zip(curves.items(), COLOURS, strict=False):
            steps = np.arange(1, losses.size + 1)
            axes.plot(steps, losses, color=colour, alpha=0.25, linewidth=0.8)
            width = max(1, losses.size // 20)
            smooth = np.convolve(losses, np.ones(width) / width, mode="valid")
            axes.plot(steps[width - 1 :], smooth, color=colour, linewidth=2, label=drawn(name, 40))
        axes.set_xlabel("step")
        axes.set_ylabel("loss")
        axes.legend()
        return png_of(figure)


def patches_figure(
    anchor: FloatArray, positive: FloatArray, names: Sequence[str], channels: Sequence[str]
) -> bytes:
    """Draw cells in columns; for each channel the anchor above its positive.

    Parameters
    ----------
    anchor, positive : ndarray (K, C, Y, X)
        Of the middle slice; each patch is shown from its 1st to its 99.5th percentile.
    names : sequence of str
        Of the K columns.
    channels : sequence of str
        Of the C channels.
    """
    count, depth = anchor.shape[:2]
    with drawing(10, 10 / count * depth * 2 + 0.7) as figure:
        grid = figure.subplots(2 * depth, count, squeeze=False, gridspec_kw={"wspace": 0, "hspace": 0})
        for row in range(2 * depth):
            view = (anchor, positive)[row % 2]
            for column in range(count):
                _show_patch(grid[row, column], view[column, row // 2])
            grid[row, 0].set_ylabel(
                f"{drawn(channels[row // 2])}\n{('anchor', 'positive')[row % 2]}",
                rotation=0,
                ha="right",
                va="center",
            )
        for column, name in enumerate(names):
            lines = "\n".join(drawn(line, 18) for line in name.split("\n"))
            grid[0, column].set_title(lines, fontsize=7.5, fontweight="normal", loc="center")
        return png_of(figure)


def _show_patch(axes: Axes, patch: FloatArray) -> None:
    low, high = np.percentile(patch, [1, 99.5])
    axes.imshow(patch, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def maps_figure(
    maps: Mapping[str, FloatArray],
    labels: Mapping[str, tuple[IntArray, Sequence[str], Sequence[str]]],
    hours: tuple[FloatArray, str],
) -> bytes:
    """Draw each embedding's map in a row, coloured by each label and by time.

    Parameters
    ----------
    maps : mapping of str to ndarray (N, 2)
    labels : mapping
        Title to (codes (N,), names, palette).
    hours : (ndarray (N,), str)
        Times, NaN where not known, and their name.
    """
    order = np.random.default_rng(0).permutation(next(iter(maps.values())).shape[0])
    columns = len(labels) + 1
    with drawing(10.4, 3.1 * len(maps)) as figure:
        grid = figure.subplots(len(maps), columns, squeeze=False)
        for row, (name, places) in zip(grid, maps.items(), strict=True):
            for axes, (codes, _, palette) in zip(row, labels.values(), strict=False):
                _scatter(axes, places[order], c=colours(codes[order], palette))
            points = _scatter(row[-1], places[order], c=hours[0][order], cmap="viridis", plotnonfinite=False)
            row[0].set_ylabel(drawn(name, 40), fontsize=10, fontweight="bold")
        for top, bottom, (title, (_, names, palette)) in zip(grid[0], grid[-1], labels.items(), strict=False):
            top.set_title(drawn(title))
            legend_below(bottom, names, palette)
        grid[0, -1].set_title(hours[1])
        figure.colorbar(points, ax=grid[-1, -1], orientation="horizontal", fraction=0.05, pad=0.02)
        return png_of(figure)


def legend_below(axes: Axes, names: Sequence[str], palette: Sequence[str]) -> None:
    """Put names and their colours below the axes."""
    if names:
        # as labels of marks, names that begin with "_" would be left out
        marks = [
            axes.scatter([], [], s=26, color=palette[n % len(palette)]) for n in range(min(10, len(names)))
        ]
        axes.legend(
            marks,
            [drawn(name) for name in names[:10]],
            loc="upper center",
            bbox_to_anchor=(0.5, -0.01),
            ncols=2,
            fontsize=7.5,
            handletextpad=0.1,
            columnspacing=0.8,
        )


def _scatter(axes: Axes, places: FloatArray, **options: Any) -> Any:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(True)
    axes.spines[:].set_color(LINE)
    size = float(np.clip(6000 / len(places), 5, 14))
    return axes.scatter(places[:, 0], places[:, 1], s=size, linewidths=0, alpha=0.85, **options)
