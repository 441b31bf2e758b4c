"""Tracks: the files of tracking programs, read as one checked table of detections.

Each format has a file of its own that turns what it finds into `Detections`; `formats` lists them, and `read`
checks what is common to all and gives one table with ``fov, track_id, parent_track_id, t, z, y, x``.

Key types: `Detections` (detections), the cells of one tracking file; `Format` (formats).

Read in this order:

- `detections`: the detections of one file, and what must hold of them
- `formats`: the formats, in one tuple, and which of them a path has
- `read`: all files of an experiment as one table
- `table_files`: CSV and Parquet tables; `csv_text`: the dialects of text tables, within bounds
- `ctc`: Cell Tracking Challenge folders
- `likely_names`: what programs call our columns, for errors
- `geff`: GEFF, a Zarr group of nodes and edges; `geff_axes`: its axes and units
- `trackmate`: TrackMate's XML
- `graphs`: from links between detections to tracks, for formats without track ids
- `source_ids`: what programs call cells and tracks, kept beside our own numbers
- `lengths`: places in micrometres, turned into pixels and slices
- `slices`: the slice of a cell: stated, the middle one, or one by number
"""
