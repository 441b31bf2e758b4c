"""From cells to the light that leaves them: maps of optical thickness, of the reporter and of the nuclei.

Every cell is drawn into its own `PATCH` x `PATCH` window, all cells of a frame at once, and the windows
are added into a canvas that is `PAD` pixels wider than the frame on each side, so that cells at the
border are drawn whole and the optics (`camera`) see beyond the frame. A full reporter is 1.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from viscy_data.synthetic.cells import Cells

PATCH: Final = 80
PAD: Final = 40

_PUNCTA: Final = 10
_NUCLEOLI: Final = 3

type Map = NDArray[np.float32]


def draw(cells: Cells, size: int, nuclear_reporter: float) -> tuple[Map, Map]:
    """Draw the cells of one frame.

    Parameters
    ----------
    cells
        The cells, of dtype `viscy_data.synthetic.cells.CELL`.
    size
        Height and width of the frame in pixels.
    nuclear_reporter
        Reporter in the nucleus relative to the cytoplasm of a healthy cell.

    Returns
    -------
    thickness, reporter
        Canvases (size + 2 PAD, size + 2 PAD).
    """
    corner = _corners(cells)
    rows, columns = _axes(cells, corner)
    along, across = _cell_frame(cells, rows, columns)
    inside, dome = _body(cells, along, across)
    nucleus = _nucleus(cells, along, across)
    granules = _spots(cells, rows, columns, slice(None), cells["granule_radius"], cells["granule_gain"])
    nucleoli = _nucleoli(cells, rows, columns)
    thickness = _thickness(cells, inside, dome, nucleus, granules, nucleoli)
    puncta = _puncta(cells, rows, columns)
    reporter = _reporter(cells, inside, dome, nucleus, granules, puncta, nuclear_reporter)
    return _paste(thickness, corner, size), _paste(reporter, corner, size)


def draw_nuclei(cells: Cells, size: int) -> Map:
    """Draw a stain of the nuclei of a frame's cells, 1 in each: (size + 2 PAD, size + 2 PAD)."""
    corner = _corners(cells)
    along, across = _cell_frame(cells, *_axes(cells, corner))
    inside, _ = _body(cells, along, across)
    return _paste(inside * _nucleus(cells, along, across), corner, size)


def _corners(cells: Cells) -> NDArray[np.int64]:
    """Return the first row and column of every cell's window (N, 2)."""
    middle = np.rint(np.stack([cells["y"], cells["x"]], axis=1)).astype(np.int64)
    return middle - PATCH // 2


def _wide(values: NDArray[np.generic]) -> Map:
    return values.astype(np.float32)[:, None, None]


def _axes(cells: Cells, corner: NDArray[np.int64]) -> tuple[Map, Map]:
    """Return pixel rows and columns of every window relative to its cell's centre, (N, PATCH) each."""
    grid = np.arange(PATCH)
    rows = grid + (corner[:, 0] - cells["y"])[:, None]
    columns = grid + (corner[:, 1] - cells["x"])[:, None]
    return rows.astype(np.float32), columns.astype(np.float32)


def _cell_frame(cells: Cells, rows: Map, columns: Map) -> tuple[Map, Map]:
    """Return window coordinates along and across the long axis; the ellipse is the unit circle."""
    cosine, sine = _wide(np.cos(cells["angle"])), _wide(np.sin(cells["angle"]))
    stretch, radius = _wide(np.sqrt(cells["elongation"])), _wide(cells["radius"])
    y, x = rows[:, :, None], columns[:, None, :]
    return (x * cosine + y * sine) / (radius * stretch), (y * cosine - x * sine) * (stretch / radius)


def _body(cells: Cells, along: Map, across: Map) -> tuple[Map, Map]:
    """Return the inside of the irregular outline (soft, 0 to 1) and a dome over it (1 at the centre)."""
    distance = np.sqrt(along**2 + across**2) + np.float32(1e-6)
    turn = np.empty(distance.shape, np.complex64)
    turn.real, turn.imag = along / distance, across / distance
    wave = np.zeros_like(turn)
    for weight in reversed(np.moveaxis(cells["outline"], 1, 0)):
        wave += weight[:, None, None]
        wave *= turn
    outline = 1 + (wave * turn).real  # Horner's scheme: the first of the consecutive orders is 2
    depth = distance / np.maximum(outline, np.float32(0.45))
    return _soft(depth, 14), np.sqrt(np.clip(1 - depth**2, 0, None))


def _soft(depth: NDArray[np.floating], steepness: float) -> Map:
    """Return 1 inside (depth < 1) and 0 outside with a soft edge."""
    edge = np.clip((depth - 1) * np.float32(steepness), -30, 30)
    return np.asarray(1 / (1 + np.exp(edge)), np.float32)


def _nucleus(cells: Cells, along: Map, across: Map) -> Map:
    reach = _wide(cells["nucleus_fraction"])
    along = along - _wide(cells["nucleus_place"][:, 0])
    across = across - _wide(cells["nucleus_place"][:, 1])
    depth = np.sqrt(along**2 + across**2) / reach
    shown = 1 - 0.9 * _wide(cells["mitosis"])  # the envelope breaks down in mitosis
    return shown * _soft(depth, 9)


def _spots(
    cells: Cells,
    rows: Map,
    columns: Map,
    which: slice,
    radius: NDArray[np.floating],
    gain: NDArray[np.floating],
    shrink: float = 1.0,
    centre: NDArray[np.floating] | None = None,
) -> Map:
    """Return the sum of Gaussian spots at granule places; separable, so one matrix product per cell."""
    place = cells["granule_place"][:, which] * shrink
    if centre is not None:
        place = place + centre[:, None, :]
    stretch = np.sqrt(cells["elongation"])[:, None]
    u = place[..., 0] * cells["radius"][:, None] * stretch
    v = place[..., 1] * cells["radius"][:, None] / stretch
    cosine, sine = np.cos(cells["angle"])[:, None], np.sin(cells["angle"])[:, None]
    y, x = (u * sine + v * cosine).astype(np.float32), (u * cosine - v * sine).astype(np.float32)
    width = 2 * radius[:, None, None].astype(np.float32) ** 2
    down = np.exp(-((rows[:, None, :] - y[..., None]) ** 2) / width)
    over = np.exp(-((columns[:, None, :] - x[..., None]) ** 2) / width)
    return np.asarray(np.matmul((down * gain[:, which, None]).swapaxes(1, 2), over), np.float32)


def _nucleoli(cells: Cells, rows: Map, columns: Map) -> Map:
    radius = 0.11 * cells["radius"]
    gain = np.ones_like(cells["granule_gain"])
    shrink = 0.25
    return _spots(cells, rows, columns, slice(0, _NUCLEOLI), radius, gain, shrink, cells["nucleus_place"])


def _puncta(cells: Cells, rows: Map, columns: Map) -> Map:
    """Return bright spots around the nucleus, which an infected cell gathers."""
    gain = 0.5 + np.abs(cells["granule_gain"])
    return _spots(cells, rows, columns, slice(-_PUNCTA, None), 0.1 * cells["radius"], gain, 0.7)


def _thickness(cells: Cells, inside: Map, dome: Map, nucleus: Map, granules: Map, nucleoli: Map) -> Map:
    texture = _wide(cells["granularity"] * (1 + 1.5 * cells["phenotype"]) * 0.16)
    spread = 0.35 * (1 - _wide(cells["mitosis"]))  # a cell between divisions is flat
    height = 0.8 + 1.0 * _wide(cells["mitosis"]) + 0.12 * _wide(cells["phenotype"])
    body = height * (dome * (1 - spread) + inside * spread)
    thickness: Map = body + nucleus * (0.22 + 0.3 * nucleoli) + texture * granules * (1 - 0.6 * nucleus)
    turned = 1 - 1.7 * _wide(cells["mitosis"])  # a ball is thick enough to turn phase contrast over
    return thickness * inside * turned


def _reporter(
    cells: Cells, inside: Map, dome: Map, nucleus: Map, granules: Map, puncta: Map, nuclear_reporter: float
) -> Map:
    """Return the reporter: it leaves the nucleus for puncta as the phenotype grows, its level unchanged."""
    ill = _wide(cells["phenotype"])
    nuclear = nuclear_reporter * (1 - 0.85 * ill)
    cytoplasm = (1 - nucleus) * (1 + 0.1 * granules * _wide(cells["granularity"]))
    spread = inside * dome * (cytoplasm * (1 - 0.2 * ill) + nuclear * nucleus)
    gathered = inside * (1 - 0.7 * nucleus) * puncta
    image = spread + 1.0 * ill * gathered
    level = image.sum(axis=(1, 2), keepdims=True) / (np.pi * _wide(cells["radius"]) ** 2)
    scaled: Map = image * (0.5 * _wide(cells["reporter"]) / np.maximum(level, np.float32(1e-3)))
    return scaled


def _paste(patches: Map, corner: NDArray[np.int64], size: int) -> Map:
    canvas = np.zeros((size + 2 * PAD, size + 2 * PAD), np.float32)
    for patch, (row, column) in zip(patches, corner + PAD, strict=True):
        canvas[row : row + PATCH, column : column + PATCH] += patch
    return canvas
