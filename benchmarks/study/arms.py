"""What is compared: encoders that differ in one thing each, on the same data, for the same number of steps.

The questions, in order: does composing help against what anybody does (*random*)? Against what anybody
could do instead: stronger augmentation of intensities (*strong*), or correcting the embedding afterwards by
control cells, which every arm is measured with, too? Which axis does it? Does it still where the encoder
has never seen the experiment that is asked about (*held_out*)?
"""

from dataclasses import dataclass, field
from typing import Any, Final

from viscy_data import Intensity

SEEDS: Final = (21, 22, 23, 24, 25)
"""Of the data; on none of them was anything chosen."""
TRAININGS: Final = 3
STEPS: Final = 1350

USUAL: Final = Intensity()
STRONG: Final = Intensity.strong()

ALL_OFF: Final = {"experiment_aware": False, "condition_balanced": False, "temporal_enrichment": False}


@dataclass(frozen=True)
class Arm:
    """One way of training.

    Attributes
    ----------
    batches
        What differs from batches drawn at random: arguments of `viscy_train.BatchOptions`.
    intensity
        Augmentation of intensities.
    backbone
        ``small``, or ``batchnorm``: the same with batch normalisation, whose statistics are those of one
        experiment, in training because a batch holds one, afterwards because they are taken again over
        each experiment's cells (BEN; bioRxiv 2022.10.14.512286).
    held_out
        The encoder never sees the experiment that the probe is asked about.
    loss
        ``labels``: cross-entropy of the condition in place of the contrast: what the encoder can do at best.
    """

    batches: dict[str, Any] = field(default_factory=dict)
    intensity: Intensity = USUAL
    backbone: str = "small"
    held_out: bool = False
    loss: str = "contrast"


_ONE = {"experiment_aware": True}
_BALANCE = {"condition_balanced": True}

ARMS: Final = {
    "random": Arm(),
    "both": Arm(_ONE | _BALANCE),
    "random_strong": Arm(intensity=STRONG),
    "random_held_out": Arm(held_out=True),
    "both_held_out": Arm(_ONE | _BALANCE, held_out=True),
    "both_strong": Arm(_ONE | _BALANCE, intensity=STRONG),
    "both_ben": Arm(_ONE | _BALANCE, backbone="batchnorm"),
    "one_experiment": Arm(_ONE),
    "balance": Arm(_BALANCE),
    "both_leak": Arm(_ONE | _BALANCE | {"leaky": 0.2}),
    "both_focus": Arm(_ONE | _BALANCE | {"temporal_enrichment": True}),
    "one_experiment_strong": Arm(_ONE, intensity=STRONG),
    "labels": Arm(held_out=True, loss="labels"),
}
"""Most telling first: runs are made in this order, so that a study that is cut short can be read."""

SYNTHETIC_ARMS: Final = tuple(name for name in ARMS if name != "one_experiment_strong")

REAL_ARMS: Final = ("random", "one_experiment", "random_strong", "one_experiment_strong")
"""What can be tried on real crops, which have no conditions."""

TITLES: Final = {
    "raw": "raw pixels",
    "random": "random batches",
    "random_strong": "random, strong augmentation",
    "one_experiment": "one experiment a batch",
    "one_experiment_strong": "one experiment, strong augmentation",
    "balance": "conditions balanced",
    "both": "composed",
    "both_ben": "composed, batch norm per experiment",
    "both_strong": "composed, strong augmentation",
    "both_leak": "composed, leak 0.2",
    "both_focus": "composed, focal time",
    "random_held_out": "random, never saw the experiment",
    "both_held_out": "composed, never saw the experiment",
    "labels": "trained with the labels",
}
