"""Callbacks: what watches a training run and changes nothing of it.

Key types: `CompositionLog`, `PlanCheck`, `DataWait`, `FitProgress`, `SaveLast`, `SaveModel`,
`ValidationProbe`.

Read in this order:

- `composition`: what the batches that training consumed were made of
- `plan_check`: whether they are those that the plan asks for
- `data_wait`: how long steps wait for their batches
- `validation_probe`: whether what is learned tells a label
- `progress`: one bar for a whole fit
- `save_last`: the last checkpoint, however a run ends
- `save_model`: the models that a run leaves for others
"""

from viscy_train.callbacks.composition import CompositionLog
from viscy_train.callbacks.data_wait import DataWait
from viscy_train.callbacks.plan_check import PlanCheck
from viscy_train.callbacks.progress import FitProgress, fit_columns
from viscy_train.callbacks.save_last import SaveLast
from viscy_train.callbacks.save_model import SaveModel
from viscy_train.callbacks.validation_probe import ValidationProbe

__all__ = [
    "CompositionLog",
    "DataWait",
    "FitProgress",
    "PlanCheck",
    "SaveLast",
    "SaveModel",
    "ValidationProbe",
    "fit_columns",
]
