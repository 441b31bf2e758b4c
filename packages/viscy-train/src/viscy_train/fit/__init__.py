"""``viscy-train fit``: Lightning's command line over our module and data, that ends as it should.

Key types: `FitCLI` (command).

Read in this order:

- `command`: the command itself, which reads top to bottom
- `packaged`: configurations that go by their name
- `sentences`: what the parser refuses, in one sentence
- `stated`: which options the user states, rather than the package
- `from_table`: what a run takes from its table, all in one report
- `loggers`: their short names, and files and ids that a run goes on with
- `earlier`: the run that the same command began
- `going_on`: the options of a checkpoint, and those that differ from them
- `rehearsal`: a cell of each experiment, read and encoded before anything is written
- `endings`: what a user is told, and the exit code, however a run ends
"""

from viscy_train.fit.command import FitCLI, run_fit
from viscy_train.fit.endings import exit_code
from viscy_train.fit.packaged import packaged, quiet_lightning

__all__ = ["FitCLI", "exit_code", "packaged", "quiet_lightning", "run_fit"]
