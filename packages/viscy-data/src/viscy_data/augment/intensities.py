"""Operations on intensities of a batch (B, C, Z, Y, X), with a parameter for each sample or channel.

Pure functions: whatever is random is drawn by the caller.
"""

import torch
from torch import Tensor
from torch.nn import functional


def blur(x: Tensor, sigma: Tensor, largest: float) -> Tensor:
    """Blur in y and x by Gaussians of ``sigma`` (B, 1, 1, 1, 1) pixels, edges mirrored.

    Kernels reach three times ``largest``, the greatest sigma there may be, so that their length does
    not wait for the device.
    """
    radius = min(int(3 * largest + 0.5), *(side - 1 for side in x.shape[-2:]))
    if radius < 1:
        return x
    offsets = torch.arange(-radius, radius + 1, device=x.device, dtype=x.dtype)
    weights = torch.exp(-0.5 * (offsets / sigma.flatten()[:, None].clamp(min=1e-3)) ** 2)
    weights = (weights / weights.sum(dim=1, keepdim=True))[:, :, None, None, None]
    blurred = x.flatten(1, 2)
    for dim, padding in ((-2, (0, 0, radius, radius)), (-1, (radius, radius, 0, 0))):
        padded = functional.pad(blurred, padding, mode="reflect")
        # A sum over shifts: per-sample kernels without one convolution group per sample and slice.
        blurred = torch.zeros_like(blurred)
        for k in range(2 * radius + 1):
            blurred += weights[:, k] * padded.narrow(dim, k, x.shape[dim])
    return blurred.view(x.shape)


def gamma(x: Tensor, power: Tensor) -> Tensor:
    """Raise to ``power`` (B, C, 1, 1, 1) between each channel's minimum and maximum, which stay."""
    low, high = x.amin(dim=(2, 3, 4), keepdim=True), x.amax(dim=(2, 3, 4), keepdim=True)
    span = (high - low).clamp(min=torch.finfo(x.dtype).tiny)
    return ((x - low) / span).clamp(0, 1) ** power * (high - low) + low


def drop_channels(x: Tensor, dropped: Tensor, rank: Tensor) -> Tensor:
    """Set ``dropped`` channels (B, C, 1, 1, 1) to 0, except the one of highest ``rank``."""
    kept = rank == rank.amax(dim=1, keepdim=True)
    return x.masked_fill(dropped & ~kept, 0)
