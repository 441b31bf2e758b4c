"""Import: what VisCy knows of experiments, as an experiments file.

Key types: `ImportSummary` (run), `Imported` (entries).

Read in this order:

- `run`: from a file of VisCy to an experiments file in a folder: `import_viscy`
- `entries`: one experiment on its way: paths, channels by well, what is checked
- `yaml_files`: collections, and experiments files of the earlier generation
- `cell_index`: the table of cells, from which tracks are written beside the experiments file
- `cell_values`: which columns say something of the experiment, of a cell, or of a channel alone
"""
