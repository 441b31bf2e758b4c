"""Learning rates as pure functions of the step: linear warm-up, then half a cosine."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class WarmupCosine:
    """Factor of the learning rate at each optimiser step.

    Step s of the warm-up (counted from 0) has (s + 1) / warmup_steps; after it the factor falls from 1 to
    `floor` along half a cosine that ends at `total_steps` (Loshchilov and Hutter 2017, arXiv 1608.03983,
    one cycle), and stays there.

    Parameters
    ----------
    warmup_steps : int
        0 starts at the full rate.
    total_steps : int
        Steps of the whole run; at least 1, more than `warmup_steps`.
    floor : float
        Factor at the end, in [0, 1].

    Raises
    ------
    ValueError
        A value outside its range.

    Examples
    --------
    >>> rate = WarmupCosine(warmup_steps=2, total_steps=6)
    >>> [round(rate(step), 3) for step in range(7)]
    [0.5, 1.0, 1.0, 0.854, 0.5, 0.146, 0.0]
    """

    warmup_steps: int
    total_steps: int
    floor: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.warmup_steps < self.total_steps:
            raise ValueError(
                f"warmup_steps={self.warmup_steps}, total_steps={self.total_steps}: allowed are "
                "0 <= warmup_steps < total_steps; shorten the warm-up or train longer"
            )
        if not 0 <= self.floor <= 1:
            raise ValueError(f"floor={self.floor}: the final factor lies between 0 and 1")

    def __call__(self, step: int) -> float:
        """Return the factor at `step`, which counts optimiser steps from 0."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        done = min(1.0, (step - self.warmup_steps) / (self.total_steps - self.warmup_steps))
        return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * done))
