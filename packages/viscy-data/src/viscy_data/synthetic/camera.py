"""From the light that leaves cells to counts on a camera: the batch effect of an experiment.

*optics*: blur, halo and haze, applied in Fourier space on the padded canvas. *field*: the uneven
illumination, and dirt and texture of the background, both fixed for a field of view. Noise is that of
photons (Poisson) plus normal read noise in counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from viscy_data.synthetic.cells import Cells
from viscy_data.synthetic.drawing import PAD, Map, draw, draw_nuclei
from viscy_data.synthetic.recipe import CHANNELS, NUCLEUS, PHASE, REPORTER
from viscy_data.synthetic.setup import Microscope, Setup

_HAZE_RADIUS: Final = 14.0
_PHASE_SIGN: Final = -1.0
_LARGEST_COUNT: Final = 65535


@dataclass(frozen=True, eq=False)
class Camera:
    """What turns the cells of one field of view into images; make it with `make_camera`."""

    setup: Setup
    size: int
    phase_transfer: NDArray[np.float32]
    reporter_transfer: NDArray[np.float32]
    phase_background: Map
    reporter_background: Map
    field: Map
    markers: tuple[str, ...]

    def expose(self, cells: Cells, rng: np.random.Generator) -> NDArray[np.uint16]:
        """Return one frame (C, Y, X) of the cells, in counts; C are the markers in order."""
        thickness, reporter = draw(cells, self.size, self.setup.line.nuclear_reporter)
        phase = _filter(thickness, self.phase_transfer, self.size)
        images = {PHASE: self._phase(phase, rng)}
        if REPORTER in self.markers:
            images[REPORTER] = self._fluorescence(reporter, rng)
        if NUCLEUS in self.markers:
            images[NUCLEUS] = self._fluorescence(draw_nuclei(cells, self.size), rng)
        return np.stack([images[marker] for marker in self.markers])

    def _phase(self, phase: Map, rng: np.random.Generator) -> NDArray[np.uint16]:
        setup = self.setup.microscope
        even = 0.5 + 0.5 * self.field  # transmitted light is flatter than fluorescence
        light = even * (1 + _PHASE_SIGN * setup.phase_contrast * phase + self.phase_background)
        return _counts(light, setup.phase_photons, setup.phase_level, setup.read_noise, 0.0, rng)

    def _fluorescence(self, canvas: Map, rng: np.random.Generator) -> NDArray[np.uint16]:
        setup = self.setup.microscope
        glow = _filter(canvas, self.reporter_transfer, self.size)
        light = self.field * (glow + setup.autofluorescence * self.reporter_background)
        return _counts(
            light, setup.reporter_photons, setup.reporter_gain, setup.read_noise, setup.reporter_offset, rng
        )


def make_camera(
    setup: Setup, size: int, rng: np.random.Generator, markers: Sequence[str] = tuple(CHANNELS.values())
) -> Camera:
    """Return the camera over one field of view: the experiment's, a little out of focus and out of place."""
    microscope = setup.microscope
    focus = microscope.blur * float(np.exp(rng.normal(0, 0.05)))
    frequency = _frequencies(size + 2 * PAD)
    blur = _gaussian(frequency, focus)
    texture = microscope.background_texture * _grain(size, microscope.background_grain, rng)
    texture += 0.5 * microscope.background_texture * _grain(size, 1.2, rng)
    return Camera(
        setup=setup,
        size=size,
        phase_transfer=blur * (1 - microscope.halo * _gaussian(frequency, microscope.halo_radius)),
        reporter_transfer=(1 - microscope.haze) * blur + microscope.haze * _gaussian(frequency, _HAZE_RADIUS),
        phase_background=texture + _dirt(size, focus, microscope.background_texture * 4, rng),
        reporter_background=1 + 0.15 * _grain(size, 25.0, rng),
        field=_field(microscope, size, rng),
        markers=tuple(markers),
    )


def _frequencies(size: int) -> NDArray[np.float32]:
    rows, columns = np.fft.fftfreq(size), np.fft.rfftfreq(size)
    return (rows[:, None] ** 2 + columns**2).astype(np.float32)


def _gaussian(squared_frequency: NDArray[np.float32], radius: float) -> NDArray[np.float32]:
    return np.exp(np.float32(-2 * np.pi**2 * radius**2) * squared_frequency)


def _filter(canvas: Map, transfer: NDArray[np.float32], size: int) -> Map:
    image = np.fft.irfft2(np.fft.rfft2(canvas) * transfer, s=canvas.shape)
    return image[PAD : PAD + size, PAD : PAD + size]


def _grain(size: int, radius: float, rng: np.random.Generator) -> Map:
    """Return smooth noise of unit variance with structures of the given radius."""
    noise = rng.standard_normal((size + 2 * PAD, size + 2 * PAD), dtype=np.float32)
    image = _filter(noise, _gaussian(_frequencies(size + 2 * PAD), radius), size)
    return image / image.std()


def _dirt(size: int, blur: float, strength: float, rng: np.random.Generator) -> Map:
    """Return small specks out of focus, dark with a bright rim."""
    canvas = np.zeros((size + 2 * PAD, size + 2 * PAD), np.float32)
    specks = rng.poisson(size**2 / 4000)
    places = rng.integers(0, len(canvas), (specks, 2))
    canvas[places[:, 0], places[:, 1]] = rng.gamma(1.5, 12.0, specks)
    frequency = _frequencies(len(canvas))
    return -strength * _filter(
        canvas, _gaussian(frequency, blur + 0.6) - _gaussian(frequency, 2.5 * blur + 1), size
    )


def _field(setup: Microscope, size: int, rng: np.random.Generator) -> Map:
    """Return the illumination, 1 where it is brightest: a vignette off centre, times a tilt."""
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size - 0.5
    centre = 0.15 * np.array([np.sin(setup.tilt_angle), np.cos(setup.tilt_angle)]) + rng.normal(0, 0.02, 2)
    squared = (axis[:, None] - centre[0]) ** 2 + (axis - centre[1]) ** 2
    slope = axis[:, None] * np.sin(setup.tilt_angle) + axis * np.cos(setup.tilt_angle)
    field = (1 - setup.vignette * squared / 0.5) * (1 + setup.tilt * slope)
    return np.asarray(field / field.max(), np.float32)


def _counts(
    light: Map, photons: float, gain: float, read_noise: float, offset: float, rng: np.random.Generator
) -> NDArray[np.uint16]:
    detected = _shot(np.clip(light, 0, None) * np.float32(photons), rng)
    noise = rng.standard_normal(light.shape, dtype=np.float32) * np.float32(read_noise)
    counts = np.rint(detected * np.float32(gain / photons) + noise + np.float32(offset))
    return np.clip(counts, 0, _LARGEST_COUNT).astype(np.uint16)


def _shot(expected: Map, rng: np.random.Generator) -> Map:
    """Return nearly Poisson counts: a normal deviate where Poisson noise is even (Anscombe 1948).

    Ten times as fast as Poisson deviates; mean exact, variance half a count too large.
    """
    root = np.sqrt(expected + np.float32(0.375))
    root += rng.standard_normal(expected.shape, dtype=np.float32) * np.float32(0.5)
    return np.asarray(root**2 - 0.625, np.float32)
