"""The demo: the whole path in one call, from images to a report: `run_demo`.

Two encoders are trained, the same except for their batches, and measured in the same way as raw pixels.

Key types: `DemoSettings` (settings), all numbers, fixed before anything is compared; `DemoResult` (run).

Read in this order:

- `run`: data, batches, two trainings, three embeddings, one report
- `settings`: the numbers
- `source`: from nothing, movies or an experiments file to an anchors table
- `training`: the two trainings; `side_by_side`: both at once; `comparison`: three embeddings, measured
- `verdict`: the finding, in words computed from numbers
- `story`: what the report shows, in which order; `pictures`: the arrays that it draws
"""

from viscy_train.demo.run import DemoResult, run_demo
from viscy_train.demo.settings import DemoSettings

__all__ = ["DemoResult", "DemoSettings", "run_demo"]
