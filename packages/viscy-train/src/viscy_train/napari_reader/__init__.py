"""A reader for napari: an index or embeddings, one field of view at a time.

Numbers about cells are believed when the cells are seen. An index, or an embedding of it, knows where each
cell is and in which image; a viewer that opens it shows cells and tracks over their movie, coloured by any
column. A table holds thousands of fields of view, so that one is opened, the first, and a menu offers the
others.

napari is never imported: it finds this folder by the manifest (``napari.yaml``), and is given plain tuples of
arrays and options. Pixels are read when they are looked at.

Read in this order:

- `reader`: what napari is told of a file, and given of it; `ours`: which files are taken
- `fields`: the cells of one field of view, from an index or from embeddings, one row each
- `layers`: those cells as layers: images, tracks, points
- `menu`: the other fields of view
"""
