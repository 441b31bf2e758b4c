"""Metrics of embeddings: functions of arrays, with their evidence.

Each metric is a file; each number comes with n, a bootstrap interval over lineages and what shuffled labels
give (`metric`); what the data cannot give is said with its reason. Nothing here knows a model.
"""

from viscy_train.evaluation.bootstrap import Resampling
from viscy_train.evaluation.collapse import collapse, effective_rank
from viscy_train.evaluation.evaluate import Evaluation, evaluate, evaluate_arrays
from viscy_train.evaluation.leakage import leakage
from viscy_train.evaluation.metric import Definition, Metric, NotAvailable, Outcome
from viscy_train.evaluation.mixing import mixing
from viscy_train.evaluation.probe import probe
from viscy_train.evaluation.reading import EmbeddingsFile, read_embeddings
from viscy_train.evaluation.retrieval import condition_retrieval, next_frame_retrieval
from viscy_train.evaluation.smoothness import smoothness

__all__ = [
    "Definition",
    "EmbeddingsFile",
    "Evaluation",
    "Metric",
    "NotAvailable",
    "Outcome",
    "Resampling",
    "collapse",
    "condition_retrieval",
    "effective_rank",
    "evaluate",
    "evaluate_arrays",
    "leakage",
    "mixing",
    "next_frame_retrieval",
    "probe",
    "read_embeddings",
    "smoothness",
]
