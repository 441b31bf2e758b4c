"""Numbers that are not finite end a run, where they first appear.

A loss that is not a number makes every weight one that is not, one step later. A run that goes on then
trains nothing, overwrites its good checkpoints and ends as if all were well. So loss and gradients are
looked at in every step, and weights before each checkpoint; the error names step and batch.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from viscy_data import ViscyDataError


class NotFiniteError(ViscyDataError, ArithmeticError):
    """A loss, a gradient or a weight is infinite or not a number."""


def all_finite(tensors: Iterable[Tensor]) -> bool:
    """Return whether no element of any tensor is infinite or not a number.

    Examples
    --------
    >>> all_finite([torch.ones(2), torch.tensor([1])]), all_finite([torch.tensor([1.0, float("nan")])])
    (True, False)
    """
    floating = [one.detach() for one in tensors if one.is_floating_point() and one.numel()]
    # the largest magnitude is infinite or NaN where any element is, and does not overflow as a sum would
    return bool(torch.nn.utils.get_total_norm(floating, norm_type=torch.inf).isfinite())
