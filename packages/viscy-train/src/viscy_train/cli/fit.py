"""The command ``viscy-train fit``: Lightning reads its arguments, see `viscy_train.fit`.

Lightning's own help lists every argument of every class, 47 kB of it. ``--help`` is one screen instead, of
what people change; ``--help-all`` is Lightning's.
"""

from collections.abc import Sequence
from typing import Final

HELP_ALL: Final = "--help-all"

HELP: Final = """\
usage: viscy-train fit --config CONFIG --data.anchors TABLE [options]

Train an encoder on composed batches. CONFIG is a file of yours, or one of the package:
  viscy-train fit --config small --data.anchors anchors.parquet     on a CPU, in minutes
  viscy-train fit --config fit --data.anchors anchors.parquet       ConvNeXt, on GPUs
--config strong after either one: strong augmentation, for an encoder that knows less of the microscope.
The same command again goes on from its last checkpoint. --fresh begins a new run beside it.

what people change, in a file or on the command line, which wins:
  --data.batches.batch_size 256            pairs in a batch, on each device
  --data.batches.condition_balanced false  equal parts of each condition, or as they come
  --data.batches.temporal_enrichment true  most cells of a batch near one time
  --data.batches.plan '{at_most: {by: lineage_id}}'     axes without an option: see docs/axes.md
  --data.split.held_out '[plate_3]'        experiments that validate; or --data.split.fraction 0.1
  --model.encoder.backbone resnet50        small, convnext_tiny, any network of timm, or your class
  --model.loss.temperature 0.1             the smaller, the more the nearest negatives count
  --model.optimizer.learning_rate 0.001    the highest that the schedule reaches
  --trainer.max_steps 5000                 how long
  --trainer.devices 4                      how many GPUs; more machines: docs/guides/clusters.md
  --trainer.logger wandb                   or csv (default), tensorboard, mlflow, false
  --ckpt_path runs/fit/version_0/checkpoints/last.ckpt  go on from this file

channels, depth and crop follow from the table. All options with their values, to edit and give as CONFIG:
  viscy-train fit --config small --data.anchors anchors.parquet --print_config > mine.yaml
and with what each means:
  viscy-train fit --help-all
"""


def fit(arguments: Sequence[str]) -> int:
    """Fit; a run ends in more ways than other commands, see `viscy_train.fit.endings`."""
    if not arguments or {"-h", "--help"} & set(arguments):
        print(HELP, end="")  # noqa: T201  help is what standard output is for
        return 0
    given = ["--help" if one == HELP_ALL else one for one in arguments]
    try:
        from viscy_train.fit import exit_code, run_fit
    except KeyboardInterrupt:
        return 130
    return exit_code(lambda: run_fit(given))
