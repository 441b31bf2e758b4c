"""Indexing: from an experiments file to the anchors table and the images' statistics, in many processes.

Each experiment is built on its own and kept in a file until all are there, so that an index that was killed
goes on where it stopped; the table is the same, to the bit, whoever built it.

Key types: `IndexSummary` (run).

Read in this order:

- `run`: describe, check, build, count, merge: `build_index`
- `parts`: one experiment: its anchors and positives, and the file that keeps them
- `image_statistics`: the statistics, field of view by field of view
- `images_read`: what reading all images showed: refused, left out, counted, told
- `focus`: slices in focus, of stores or measured; `focus_page`: their curves
- `placing`: where finished files wait, and how they come to where they belong
- `workers`: independent jobs: here, in processes, or on a Dask cluster
"""
