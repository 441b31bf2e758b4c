"""What the demo does, in numbers: one frozen value, fixed before anything is compared.

Settings, and the share of infected wells in the synthetic data, were chosen on seeds 0, 1 and 2, the number
of steps on 31 to 37; ``benchmarks/demo_seeds.py`` reports others.
"""

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from viscy_data import Geometry, Intensity, InvalidInputError

FULL_MINUTES: Final = 4.5
"""What all of the demo takes on two cores with the settings of `DemoSettings`."""


@dataclass(frozen=True)
class DemoSettings:
    """Settings of a demo.

    Attributes
    ----------
    seed : int
        Of synthetic data, batches, weights, augmentation and resampling.
    synthetic : dict
        Arguments of `viscy_data.synthesize`.
    patch, crop : int
        Height and width of patches as read, and as the encoder sees them.
    tau_steps : int
        An anchor and its positive are at most this many frames of the slowest experiment apart.
    batch_size, steps : int
        Of both trainings.
    temperature, beta, learning_rate : float
        See `viscy_train.module`.
    projection : int
        Width of the projection.
    focus : bool
        Whether composed batches sit around a focal time where hours are known. Off: on the choosing
        seeds it made the condition no better readable.
    geometry, intensity : Geometry, Intensity
        Augmentation of both trainings.
    max_cells, map_cells : int
        Cells (rows) evaluated, and drawn in maps; whole lineages, drawn evenly.
    shuffles : int
        Of the evaluation.
    missing_chunks, non_finite : "error" or "fill"
        See `viscy_data.Reading`.
    """

    seed: int = 0
    synthetic: dict[str, Any] = field(default_factory=dict)
    patch: int = 48
    crop: int = 32
    tau_steps: int = 2
    batch_size: int = 64
    steps: int = 900
    temperature: float = 0.5
    beta: float = 0.5
    learning_rate: float = 2e-3
    projection: int = 64
    focus: bool = False
    geometry: Geometry = Geometry()  # noqa: RUF009 frozen
    intensity: Intensity = Intensity()  # noqa: RUF009 frozen
    max_cells: int = 4000
    map_cells: int = 1200
    shuffles: int = 20
    missing_chunks: Literal["error", "fill"] = "error"
    non_finite: Literal["error", "fill"] = "error"

    @classmethod
    def of(cls, *, seed: int, minutes: float, smallest: bool) -> "DemoSettings":
        """Return the settings of a demo of some minutes, or of the smallest one.

        Only the number of training steps follows the minutes, so that a result depends on what was
        asked for and not on the speed of the machine.

        Raises
        ------
        InvalidInputError
            If the minutes or the seed cannot be.

        Examples
        --------
        >>> DemoSettings.of(seed=0, minutes=9, smallest=False).steps // DemoSettings().steps
        2
        """
        if not 0 < minutes < float("inf"):
            raise InvalidInputError(f"minutes={minutes} is not a positive number; {FULL_MINUTES} is usual")
        if seed < 0:
            raise InvalidInputError(f"seed={seed} is below 0")
        if smallest:
            return cls(seed=seed, **_SMALLEST)
        return cls(seed=seed, steps=max(20, round(cls.steps * minutes / FULL_MINUTES)))

    @property
    def margin(self) -> int:
        """Pixels on each side of a patch that the encoder does not see."""
        return (self.patch - self.crop) // 2


_SMALLEST: Final[dict[str, Any]] = {
    "synthetic": {"experiments": 2, "wells": 2, "fovs": 1, "frames": 6, "cells": 8, "size": 160},
    "patch": 40,
    "crop": 24,
    "batch_size": 32,
    "steps": 6,
    "max_cells": 300,
    "map_cells": 100,
}
