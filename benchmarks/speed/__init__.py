"""Speed, side by side: samplers of several libraries, each on the jobs that it can do.

*job*: what a batch should hold (`jobs.py`). *contender*: a sampler of one library set up for one job, used
as its documentation recommends (`contender.py` and a file per library). *case*: one contender at one number
of anchors, measured in a process of its own (`measure.py`, started by `case.py`). The command is
``benchmarks/sampler.py``.
"""
