"""Anchors: one row for each cell and frame, built from tracks and kept in one Parquet file.

Batches are lists of row numbers of this table, so that everything a batch may depend on is a column of it.

Key types: `AnchorsMetadata` (read), what the file says of itself: experiments, tau, patch size, border.

Read in this order:

- `build`: from tracks to rows, one experiment at a time
- `lost_rows`: which detections are left out, and why
- `repeated_values`: names and numbers that many rows share, made once
- `slices`: the slice of each row, where its tracks do not say it
- `channel_rows`: a row for each channel of a cell, where channels are samples
- `write`: the file, one row group at a time, whole or not at all
- `read`: the file's metadata, and its columns and rows
- `row_groups`: columns taken in without a second copy in memory
"""
