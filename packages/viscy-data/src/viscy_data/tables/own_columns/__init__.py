"""Columns of one's own: what a user knows of experiments, wells, cells and tracks beside our own columns.

A drug belongs to a well, a label to a cell in a frame, a microscope to an experiment, an area to a row of the
tracks. Each is a table or a constant somewhere; here they become columns of the anchors table, one value or
null for each row, so that whatever takes a column by name takes these.

Key types: `ColumnsFile` (fields), a table that the experiments file names; `OwnColumn` (column), what is
known of one column; `JoinReport` (joins), what one table gave.

Read in this order:

- `fields`: what the experiments file may say of such columns
- `column`: the types that a column may have, and what the index says of it
- `table`: one table, read with its keys and its columns
- `matching`: which row of a table has a key
- `joins`: from the rows of a table to the rows of the anchors table
- `gather`: all columns of one experiment, from all levels
- `onto`: annotations joined to cells that are indexed, or embedded, already
"""
