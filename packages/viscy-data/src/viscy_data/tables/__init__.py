"""Tables: from what a user knows of a movie to one row for each cell and frame.

An experiments file names stores, tracks and conditions; tracking programs say where each cell is; the
anchors table joins both. Nothing here reads a pixel or needs PyTorch: stores are known by their metadata
alone (`FovInfo`), and cells by their centres. The folders `tracks` and `anchors` hold what goes in and what
comes out, and `own_columns` what users know beside.

Key types: `Experiment` and `FovInfo` (experiment), `Experiments` (experiments), `TauRange` (tau), `Positives`
(positives), `Pairing` (pairing).

Read in this order:

- `experiment`: what is known of one acquisition, and what a store's metadata say of a field of view
- `experiment_fields`: what the fields of an experiment may hold
- `experiments`: the file of many, and all that is wrong with it: by itself, and against its stores
- `normalizations`: how the intensities of each channel are normalised
- `z_policy`: which slice of a stack is a cell's
- `tau`: how far apart in time an anchor and its positive are
- `lineage`: who descends from whom, for all tracks at once
- `crops`: how much of a store a patch covers, and where its centre may be
- `borders`: patches that reach over the border of their image: reflect, shift or drop
- `coincidence`: cells of one frame that share a patch
- `relatives`: who is related to a cell some frames later
- `positives`: whether an anchor has a positive of its lineage, and which
- `others`: rows of one group that are not of one's own kind
- `same_values`: positives that are other cells of the same values
- `across_markers`: positives that show another marker of the same cell
- `pairing`: the choice between rules, checked, and what it makes of a table
- `valid_anchors`: the anchors of a file that have a positive under a rule
- `splits`: training and validation that share no lineage, or no experiment
- `codes`: from a column of labels to whole numbers
- `places`: counts of an anchors table place by place, for the checks
"""
