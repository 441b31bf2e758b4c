"""The bench: what would make reading faster, measured on a user's own stores and plan.

Batches are read for some seconds as they are read now, then with one thing changed at a time; what helps by
more than the noise is advised.

Key types: `Setting` (settings), one way of reading; `Bench` (result), what was found.

Read in this order:

- `run`: the present way, then one change at a time
- `settings`: the ways that are tried
- `measure`: batches read under one setting, and how fast they came; `batches`: batches of a plan without end
- `result`: rates, gains, and which of them are more than noise
- `tables`: the result in the terminal; `page`: on a page; `charts`: its picture
"""
