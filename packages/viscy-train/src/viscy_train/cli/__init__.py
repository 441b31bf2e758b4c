"""The command line ``viscy-train``: one file for each command, each a thin face of one function.

Read in this order:

- `app`: the commands together, and `main`
- `demo`, `fit`, `embed`, `pixels`, `correct`, `evaluate`, `compare`, `label`, `view`: a command each
- `metrics_table`: what `evaluate` prints
- `model`: those about a model's file
- `options`: what several commands share
"""
