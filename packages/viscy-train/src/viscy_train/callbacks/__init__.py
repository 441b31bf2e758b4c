"""What watches a training run: progress, the composition of the batches, the wait for data."""

from viscy_train.callbacks.composition import CompositionLog
from viscy_train.callbacks.data_wait import DataWait
from viscy_train.callbacks.plan_check import PlanCheck
from viscy_train.callbacks.progress import FitProgress, fit_columns

__all__ = ["CompositionLog", "DataWait", "FitProgress", "PlanCheck", "fit_columns"]
