"""Optimize: rewrite a store so that patches of it are read fast; a copy, checked, beside the original.

Stores written by microscopes have chunks of whole frames, and a patch costs a frame. The copy has chunks that
fit a patch, in shards of a frame; a run that was killed goes on where it stopped.

Key types: `Job` (job), what is to be done to one store; `Layout` (layout), how the copy lies on disk.

Read in this order:

- `job`: what is to be done, checked before a byte is written
- `layout`: chunks and shards of the copy
- `estimate`: what the copy will cost and bring, measured on a few frames
- `run`: the work, in a folder that is renamed at the end; `journal`: what of it is finished
- `writing`: shards, each read back before it counts; `metadata`: OME metadata as NGFF 0.5
- `rescue`: arrays that only zarr-python reads
"""
