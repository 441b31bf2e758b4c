"""What composing batches is worth: the parts of ``benchmarks/evidence.py``.

Read in this order: `arms` (what is compared), `data` (synthetic experiments and their twins), `training`
(one encoder of one arm), `measures` (what an embedding is asked), `findings` (all runs to intervals and a
verdict), `known` (figures that are committed), `questions` (what the page compares, and what is more than
chance), `where` (the same under other microscopes and shares), `short` (the answers in words), `page`
(docs/evidence.md and its picture), `noise` (how much trainings of one setting differ).
"""
