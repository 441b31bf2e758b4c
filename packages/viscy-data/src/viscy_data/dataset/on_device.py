"""Normalisation where the model is: batches that hold pixels as stored, and what is needed to finish them.

Most cameras count to 65535 in two bytes, and a patch that is normalised takes four. A batch that is copied
between processes and sent to a device in the store's dtype takes half of both, and the device divides faster.
So a dataset with ``dtype="source"`` leaves out the last step, which is two numbers for each channel of a
patch, and :func:`normalize_batch` does it, in the same order and to the same float32 values.

Patches that were computed with (resampled to a common pixel size, projected to a mean, filled where pixels
were not finite) are float32 by then, and so is a batch that holds one of them; so are 32-bit integers, which
save nothing.
"""

from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor

SCALES: Final = {"anchor": "anchor_scale", "positive": "positive_scale"}
"""Keys of a batch's views, and of the centre and spread (B, 2, C) that each is to be normalised by."""


def normalize_batch(batch: Mapping[str, Any]) -> dict[str, Any]:
    """Return a batch whose views are float32 and normalised, on the device that they are on.

    A batch that is finished already is returned as it is; the one given does not change.

    Examples
    --------
    >>> scale = torch.tensor([[[10.0], [2.0]]])
    >>> raw = {"anchor": torch.full((1, 1, 1, 1, 1), 14, dtype=torch.uint16), "anchor_scale": scale}
    >>> {name: value.item() for name, value in normalize_batch(raw).items()}
    {'anchor': 2.0}
    """
    done = {name: value for name, value in batch.items() if name not in SCALES.values()}
    for view, scale in SCALES.items():
        if scale in batch:
            done[view] = _normalized(batch[view], batch[scale])
    return done


def _normalized(patches: Tensor, scale: Tensor) -> Tensor:
    """Return patches (B, C, Z, Y, X) less the centre and over the spread of each channel (B, 2, C)."""
    centre, spread = scale[..., None, None, None].unbind(dim=1)
    return patches.to(torch.float32, copy=True).sub_(centre).div_(spread)
