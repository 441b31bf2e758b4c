"""Images: OME-Zarr stores, and from (field of view, frame, box) to normalised patches.

A batch wants a few hundred small boxes. Reading them one by one reads each chunk several times, so that boxes
are grouped by chunk and read in one call, within a stated number of bytes.

Key types: `StoreReader` (store), `PatchTable` (patches), `Normalizer` (normalization).

Read in this order:

- `ngff`: the JSON metadata of OME-Zarr; `fovs`: what they say of fields of view
- `store_metadata`: statistics and focus planes that other programs left in a store's attributes
- `arrays`: arrays opened with TensorStore; `array_metadata`: what arrays claim, checked beforehand
- `z_window`: which slices a patch shows, and their projection
- `patches`: which box of the image belongs to which anchor
- `chunks`: which chunks boxes lie in; `chunk_bombs`: chunks that unpack to more than they may
- `reading`: options of reading, and the bytes that it may hold; `memory`: giving freed memory back
- `store`: the one reader of pixels; `read_counts`: how often a chunk was read
- `channel_statistics`: mean, deviation and percentiles of a channel, frame by frame
- `odd_frames`: frames that are blank, and pixels that are not finite
- `focus`: which slice of a stack is in focus
- `statistics_columns`: what a row of statistics is of; `stored_statistics`: those of a store's attributes
- `statistics`: of frames, fields of view and experiments, computed once and kept beside the table
- `normalization`: what statistics make of a patch
- `normalized_patches`: rows to patches: read, folded at borders, resampled, normalised
- `plates`: writing stores, tracks and experiments files, for `convert` and `synthetic`
"""
