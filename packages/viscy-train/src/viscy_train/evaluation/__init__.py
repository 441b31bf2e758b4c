"""Metrics of embeddings: functions of arrays, with their evidence.

Each metric is a file; each number comes with n, an interval over units of treatment and what shuffled labels
give; what the data cannot give is said with its reason. Nothing here knows a model.

Key types: `Metric`, `NotAvailable` (metric), an answer and the reason for none; `Evaluation` (result), all of
them; `Units` (units), what a label was given to.

Read in this order:

- `metric`: what a metric answers; `units`: what counts as one observation of a label
- `evaluate`: all metrics of one embedding; `result`: their values, headlines first
- `tasks`: which metric gets which labels; `cells`: the table's columns as codes; `questions`: what can be
  asked of a label; `series`: numbers by hours
- `probe`, `leakage`, `mixing`, `retrieval`, `smoothness`, `collapse`: a metric each
- `mmd`: how far groups of cells lie apart; `profiles`: one vector a well, and which find each other
- `comparing`: both of an embeddings file
- `correction`: an embedding relative to control cells; `layers`: the same, written into its file
- `quick_probe`: one number, while a model trains
- `saved_probe`: a probe in a file; `labelling`: what it says of the cells of an embeddings file
- `differences`: two embeddings of the same cells; `together`: several files, side by side
- `folds`: how rows are split for a probe
- `intervals`: intervals over units; `scores`: accuracies of many replicates at once
- `neighbours`: nearest neighbours among allowed cells; `arrays`: checks and small transforms
- `reading`: embeddings files; `annotations`: labels from a table of a user's own
"""

from viscy_train.evaluation.collapse import collapse, effective_rank
from viscy_train.evaluation.correction import Controls, correct_by_controls
from viscy_train.evaluation.differences import Difference, difference, differences
from viscy_train.evaluation.evaluate import evaluate, evaluate_arrays
from viscy_train.evaluation.intervals import Resampling
from viscy_train.evaluation.leakage import leakage, neighbour_leakage
from viscy_train.evaluation.metric import Definition, Metric, NotAvailable, Outcome
from viscy_train.evaluation.mixing import mixing
from viscy_train.evaluation.mmd import Discrepancy, mmd
from viscy_train.evaluation.probe import probe
from viscy_train.evaluation.profiles import Precision, Profiles, profile_precision, well_profiles
from viscy_train.evaluation.reading import EmbeddingsFile, read_embeddings
from viscy_train.evaluation.result import Evaluation, Headline
from viscy_train.evaluation.retrieval import condition_retrieval, next_frame_retrieval
from viscy_train.evaluation.series import Bin, Series
from viscy_train.evaluation.smoothness import smoothness
from viscy_train.evaluation.together import Together, evaluate_together
from viscy_train.evaluation.units import Units, units_of

__all__ = [
    "Bin",
    "Controls",
    "Definition",
    "Difference",
    "Discrepancy",
    "EmbeddingsFile",
    "Evaluation",
    "Headline",
    "Metric",
    "NotAvailable",
    "Outcome",
    "Precision",
    "Profiles",
    "Resampling",
    "Series",
    "Together",
    "Units",
    "collapse",
    "condition_retrieval",
    "correct_by_controls",
    "difference",
    "differences",
    "effective_rank",
    "evaluate",
    "evaluate_arrays",
    "evaluate_together",
    "leakage",
    "mixing",
    "mmd",
    "neighbour_leakage",
    "next_frame_retrieval",
    "probe",
    "profile_precision",
    "read_embeddings",
    "smoothness",
    "units_of",
    "well_profiles",
]
