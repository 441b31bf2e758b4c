"""Random augmentation of a batch (B, C, Z, Y, X), on its device, and the centre crop.

Every sample draws its own parameters, from the generator that is given and nothing else: the global
random state is neither read nor touched. Slices of one sample share a geometry; channels of one
sample share it too, but scale and shift their intensities each on their own.

Patches may come larger than the crop that is asked for: rotation and zoom then sample the margin, and
no corner is empty. What lies beyond the patch is mirrored. Intensities are expected normalised
(about mean 0, spread 1); parameters are in these units. Input is never edited.

Own code, since torchvision and kornia draw from the global generator (torchvision one parameter for
the whole batch), and neither takes (B, C, Z, Y, X).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from viscy_data.augment.intensities import blur, drop_channels, gamma
from viscy_data.checks import is_whole
from viscy_data.errors import InvalidInputError

_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

Range = tuple[float, float]


def _check_number(name: str, value: object, lowest: float | None, highest: float | None) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")
    low = -float("inf") if lowest is None else lowest
    high = float("inf") if highest is None else highest
    if not (number and low <= cast("float", value) <= high):
        raise InvalidInputError(f"{name}={value!r} must be a finite number in [{low}, {high}].")


def _check_probability(name: str, value: float) -> None:
    _check_number(name, value, 0, 1)


def _check_range(name: str, value: Range, lowest: float | None, highest: float | None) -> None:
    given: object = value
    if not isinstance(given, Sequence) or len(given) != 2:
        raise InvalidInputError(f"{name}={value!r} must be (lowest, highest).")
    for bound in value:
        _check_number(name, bound, lowest, highest)
    if value[0] > value[1]:
        raise InvalidInputError(f"{name}={value!r} must be (lowest, highest).")


@dataclass(frozen=True)
class Geometry:
    """How patches are moved; the identity is ``Geometry(flip=0, rotate_degrees=0, zoom=(1, 1))``.

    Attributes
    ----------
    flip
        Probability of a flip of y, and of x.
    rotate_degrees
        Angles are drawn from +- this.
    zoom
        Magnification, drawn evenly in its logarithm; above 1 shows fewer pixels.
    shear_degrees
        Shear angles are drawn from +- this.
    shift
        Displacement in y and x, drawn from +- this, in pixels.
    """

    flip: float = 0.5
    rotate_degrees: float = 180.0
    zoom: Range = (0.9, 1.1)
    shear_degrees: float = 0.0
    shift: float = 0.0

    def __post_init__(self) -> None:
        _check_probability("flip", self.flip)
        for name in ("rotate_degrees", "shear_degrees", "shift"):
            _check_number(name, getattr(self, name), 0, 360 if name == "rotate_degrees" else None)
        if self.shear_degrees > 60:
            raise InvalidInputError(f"shear_degrees={self.shear_degrees!r} must be at most 60.")
        _check_range("zoom", self.zoom, 0.1, 10)

    @property
    def identity(self) -> bool:
        """Whether nothing moves."""
        moving = (self.flip, self.rotate_degrees, self.shear_degrees, self.shift)
        return not any(moving) and self.zoom == (1, 1)


@dataclass(frozen=True)
class Intensity:
    """How intensities vary; each with ``probability`` per sample (scale, shift and gamma per channel).

    Attributes
    ----------
    scale, shift
        x * scale + shift.
    contrast
        Scale about the mean of the channel.
    gamma
        Power applied between the channel's minimum and maximum, which stay.
    noise
        Standard deviation of Gaussian noise.
    blur
        Standard deviation of a Gaussian blur in y and x, in pixels.
    channel_dropout
        Probability that a channel becomes 0; one channel of a sample always stays.
    probability
        That each of the others is applied to a sample.
    """

    scale: Range = (0.8, 1.25)
    shift: Range = (-0.2, 0.2)
    contrast: Range = (0.8, 1.25)
    gamma: Range = (0.8, 1.25)
    noise: Range = (0.0, 0.2)
    blur: Range = (0.0, 1.0)
    channel_dropout: float = 0.0
    probability: float = 0.5

    def __post_init__(self) -> None:
        for name, lowest, highest in (
            ("scale", 0, None),
            ("shift", None, None),
            ("contrast", 0, None),
            ("gamma", 0.01, 100),
            ("noise", 0, None),
            ("blur", 0, 50),
        ):
            _check_range(name, getattr(self, name), lowest, highest)
        _check_probability("channel_dropout", self.channel_dropout)
        _check_probability("probability", self.probability)

    @classmethod
    def none(cls) -> "Intensity":
        """Return the options that change no intensity."""
        return cls(probability=0.0)

    @classmethod
    def strong(cls) -> "Intensity":
        """Return ranges so wide that gain, offset, noise and focus of one microscope pass for another's.

        An encoder trained with them knows far less of the microscope. The price: it knows less of how bright
        a cell is, too, which is no loss where the phenotype is a shape or a place, and a loss where it is the
        level of a reporter.
        """
        return cls(
            scale=(0.4, 2.5),
            shift=(-1.0, 1.0),
            contrast=(0.5, 2.0),
            gamma=(0.5, 2.0),
            noise=(0.0, 0.6),
            blur=(0.0, 2.0),
            probability=0.8,
        )


class Augment(nn.Module):
    """Augment a batch and crop it to its final size.

    Parameters
    ----------
    size
        Rows and columns of the result; None keeps those of the batch.
    geometry, intensity
        The ranges that parameters are drawn from.

    Raises
    ------
    InvalidInputError
        Where ``size`` is not two positive integers.

    Examples
    --------
    >>> augment = Augment(size=(32, 32))
    >>> x = torch.zeros(2, 1, 3, 48, 48)
    >>> tuple(augment(x, torch.Generator().manual_seed(0)).shape)
    (2, 1, 3, 32, 32)
    """

    def __init__(
        self,
        size: tuple[int, int] | None = None,
        *,
        geometry: Geometry = Geometry(),
        intensity: Intensity = Intensity(),
    ) -> None:
        super().__init__()
        if size is not None:
            _check_size(size)
        for name, value, kind in (("geometry", geometry, Geometry), ("intensity", intensity, Intensity)):
            if not isinstance(value, kind):
                raise InvalidInputError(f"{name}={value!r} must be a {kind.__name__}.")
        self.size = size
        self.geometry = geometry
        self.intensity = intensity

    def forward(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return an augmented copy.

        Parameters
        ----------
        x
            (B, C, Z, Y, X), floating point. Call once for anchors and once for positives: each call
            draws anew.
        generator
            On any device; draws are made there and moved to ``x``. On a GPU take one of that GPU.

        Returns
        -------
        Tensor
            (B, C, Z, *size).

        Raises
        ------
        InvalidInputError
            Where ``x`` is not five-dimensional, not floating point, or smaller than ``size``.

        Notes
        -----
        Pixels that are not finite stay so, and spread over their channel: they are found where
        statistics are read, since asking here would wait for the device in every step.
        """
        _check_batch(x, self.size)
        if not isinstance(generator, torch.Generator):
            raise InvalidInputError(f"generator={generator!r} must be a torch.Generator.")
        size = self.size or cast("tuple[int, int]", tuple(x.shape[-2:]))
        # Half precision would misplace pixels and coarsen every parameter.
        work = x.to(torch.promote_types(x.dtype, torch.float32))
        draw = _Draw(work, generator)
        return vary(move(work, size, self.geometry, draw), self.intensity, draw).to(x.dtype)

    def extra_repr(self) -> str:
        """Return the options, for printing."""
        return f"size={self.size}, {self.geometry}, {self.intensity}"


class _Draw:
    """Parameters (B, 1 or C, 1, 1, 1) of a batch's samples."""

    def __init__(self, x: Tensor, generator: torch.Generator) -> None:
        self.x, self.generator = x, generator

    def uniform(self, low: float, high: float, channels: int = 1) -> Tensor:
        shape = (len(self.x), channels, 1, 1, 1)
        drawn = torch.rand(shape, generator=self.generator, device=self.generator.device, dtype=torch.float32)
        return (low + (high - low) * drawn).to(self.x)

    def chance(self, probability: float, channels: int = 1) -> Tensor:
        return self.uniform(0, 1, channels) < probability

    def normal(self, shape: torch.Size) -> Tensor:
        drawn = torch.randn(
            shape, generator=self.generator, device=self.generator.device, dtype=torch.float32
        )
        return drawn.to(self.x)


def center_crop(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the centre (..., *size) of images (..., Y, X), as a view: a smaller patch of the same cell.

    Raises
    ------
    InvalidInputError
        Where the images are smaller, or the size is not two positive integers.

    Examples
    --------
    >>> center_crop(torch.arange(5).view(1, 5), (1, 3))
    tensor([[1, 2, 3]])
    """
    _check_size(size)
    if x.ndim < 2:
        raise InvalidInputError(f"x has shape {tuple(x.shape)}; it must be (..., Y, X).")
    (rows, columns), (height, width) = size, x.shape[-2:]
    if rows > height or columns > width:
        raise InvalidInputError(f"size={size!r} is larger than the images, {height} x {width}.")
    # A patch of n pixels has its cell at n // 2, and so has what is cut from it.
    top, left = height // 2 - rows // 2, width // 2 - columns // 2
    return x[..., top : top + rows, left : left + columns]


def move(x: Tensor, size: tuple[int, int], geometry: Geometry, draw: _Draw) -> Tensor:
    """Flip, rotate, zoom, shear and shift about the centre, sampled once at the final size."""
    if geometry.identity:
        return center_crop(x, size)
    matrix, shift = _affine(geometry, draw)
    (rows, columns), (height, width) = size, x.shape[-2:]
    # Places of the output's pixels in the patch, relative to the centre of the crop taken unmoved.
    y = torch.arange(rows, device=x.device, dtype=torch.float32) - (rows - 1) / 2
    x_ = torch.arange(columns, device=x.device, dtype=torch.float32) - (columns - 1) / 2
    grid = torch.stack(torch.meshgrid(y, x_, indexing="ij"), dim=-1)
    moved = torch.einsum("bij,yxj->byxi", matrix, grid) + shift[:, None, None, :]
    corner = height // 2 - rows // 2, width // 2 - columns // 2  # as of center_crop
    centre = torch.tensor([corner[0] + (rows - 1) / 2, corner[1] + (columns - 1) / 2])
    extent = torch.tensor([height, width], device=x.device)
    place = (2 * (moved + centre.to(x.device)) + 1) / extent - 1
    sampled = functional.grid_sample(
        x.flatten(1, 2),
        place.flip(-1).to(x.dtype),
        mode="bilinear",
        padding_mode="reflection",
        align_corners=False,
    )
    return sampled.view(*x.shape[:3], *size)


def _affine(geometry: Geometry, draw: _Draw) -> tuple[Tensor, Tensor]:
    """Return what maps places in the result to places in the patch: (B, 2, 2) and (B, 2), y before x."""
    angle = _angle(draw, geometry.rotate_degrees)
    shear = torch.tan(_angle(draw, geometry.shear_degrees))
    low, high = torch.tensor(geometry.zoom).log().tolist()
    zoom = torch.exp(draw.uniform(low, high).float().flatten())
    flips = torch.stack([1 - 2 * draw.chance(geometry.flip).flatten().float() for _ in range(2)], dim=-1)
    cos, sin = torch.cos(angle), torch.sin(angle)
    rotation = torch.stack([cos, sin, -sin, cos], dim=-1).view(-1, 2, 2)
    sheared = torch.eye(2, device=angle.device).repeat(len(angle), 1, 1)
    sheared[:, 1, 0] = shear
    shift = [draw.uniform(-geometry.shift, geometry.shift).float().flatten() for _ in range(2)]
    return rotation @ sheared * flips[:, None, :] / zoom[:, None, None], torch.stack(shift, dim=-1)


def _angle(draw: _Draw, degrees: float) -> Tensor:
    return torch.deg2rad(draw.uniform(-degrees, degrees).float().flatten())


def vary(x: Tensor, intensity: Intensity, draw: _Draw) -> Tensor:
    """Blur, change contrast, gamma, scale and shift, add noise, and drop channels, in this order."""
    if intensity.probability > 0:
        channels = x.shape[1]
        x = _where(draw, intensity, blur(x, draw.uniform(*intensity.blur), intensity.blur[1]), x)
        mean = x.mean(dim=(2, 3, 4), keepdim=True)
        x = _where(draw, intensity, mean + (x - mean) * draw.uniform(*intensity.contrast), x)
        x = _where(draw, intensity, gamma(x, draw.uniform(*intensity.gamma, channels)), x)
        scale, shift = draw.uniform(*intensity.scale, channels), draw.uniform(*intensity.shift, channels)
        x = _where(draw, intensity, x * scale + shift, x)
        x = _where(draw, intensity, x + draw.normal(x.shape) * draw.uniform(*intensity.noise), x)
    if intensity.channel_dropout > 0:
        x = drop_channels(
            x, draw.chance(intensity.channel_dropout, x.shape[1]), draw.uniform(0, 1, x.shape[1])
        )
    return x


def _where(draw: _Draw, intensity: Intensity, changed: Tensor, x: Tensor) -> Tensor:
    return torch.where(draw.chance(intensity.probability), changed, x)


def _check_size(size: object) -> None:
    whole = isinstance(size, Sequence) and len(size) == 2 and all(is_whole(side, least=1) for side in size)
    if not whole:
        raise InvalidInputError(f"size={size!r} must be two positive integers (rows, columns) or None.")


def _check_batch(x: Tensor, size: tuple[int, int] | None) -> None:
    if not isinstance(x, Tensor):
        raise InvalidInputError(f"x is a {type(x).__name__}; it must be a tensor (B, C, Z, Y, X), floating.")
    if x.ndim != 5 or x.dtype not in _FLOATS or 0 in x.shape[1:]:
        raise InvalidInputError(
            f"x has shape {tuple(x.shape)} and {x.dtype}; it must be (B, C, Z, Y, X), floating."
        )
    if size is not None and (size[0] > x.shape[-2] or size[1] > x.shape[-1]):
        raise InvalidInputError(f"size={size!r} is larger than the patches, {x.shape[-2]} x {x.shape[-1]}.")
