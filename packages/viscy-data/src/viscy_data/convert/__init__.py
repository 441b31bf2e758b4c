"""Convert: movies of other programs to OME-Zarr plates, with tracks and an experiments file beside them.

Key types: `ConvertSummary`, `MovieSummary` (run), `Movie` (movies).

Read in this order:

- `run`: one plate for each movie: `convert_movies`
- `movies`: which files belong together, and what they state
- `frames`: from the axes of a TIFF file to frames (C, Z, Y, X)
"""
