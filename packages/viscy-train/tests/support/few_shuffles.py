"""Fewer shuffles than numbers for readers may rest on, for tests that look at something else."""

from dataclasses import dataclass

from viscy_train.evaluation import Resampling


@dataclass(frozen=True)
class Few(Resampling):
    """Two shuffles of few cells."""

    shuffles: int = 2
    shuffled_cells: int = 100

    def __post_init__(self) -> None:
        """Check nothing: so few shuffles are refused otherwise."""
