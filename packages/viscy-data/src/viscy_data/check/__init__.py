"""Checks of an experiments file or an anchors table: what was lost, to what, and what to set instead.

Cells are lost between images and anchors for good reasons and for wrong settings, and a table does not show
which. A check counts what was lost place by place, and says the likely cause and the remedy in sentences.

Key types: `Survey` (survey), what findings are made of; `Finding`, `CheckReport` (finding).

Read in this order:

- `run`: `check_anchors` and `check_experiments`
- `survey`: places, options and metadata, from a table or an experiments file
- `losses`, `design`, `markers`, `images`, `pixels`: findings, each about what its name says
- `fitting`: the tau that would work
- `finding`: what a finding and a report are; `tables`: a report in the terminal; `words`: names and numbers
"""
