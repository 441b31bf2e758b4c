"""The command ``viscy-train fit``: Lightning reads its arguments, see `viscy_train.fit`."""

from collections.abc import Sequence
from typing import Final

HELP: Final = """\
configurations that come with the package go by their name:
  viscy-train fit --config small --data.anchors anchors.parquet     CPU, minutes
  viscy-train fit --config fit --data.anchors anchors.parquet       GPUs, ConvNeXt
then change what you like, in a file of your own or on the command line:
  ... --data.batches.batch_size 256 --model.loss.temperature 0.1 --trainer.max_steps 5000
  viscy-train fit --config small --data.anchors anchors.parquet --print_config > mine.yaml
all arguments: viscy-train fit --help
"""


def fit(arguments: Sequence[str]) -> int:
    """Fit; a run ends in more ways than other commands, see `viscy_train.fit.endings`."""
    try:
        from viscy_train.fit import exit_code, run_fit
    except KeyboardInterrupt:
        return 130
    return exit_code(lambda: run_fit(arguments))
