"""What watches a training run: progress, composition, the wait for data, the last checkpoint."""

from viscy_train.callbacks.composition import CompositionLog
from viscy_train.callbacks.data_wait import DataWait
from viscy_train.callbacks.plan_check import PlanCheck
from viscy_train.callbacks.progress import FitProgress, fit_columns
from viscy_train.callbacks.save_last import SaveLast

__all__ = ["CompositionLog", "DataWait", "FitProgress", "PlanCheck", "SaveLast", "fit_columns"]
