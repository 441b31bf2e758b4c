"""Models: what a trained encoder knows of its data, and the files that keep it.

A model is of use only with the channels, scale and normalisation that it was trained with; a checkpoint holds
them, so that embedding needs nothing but the checkpoint and a table.

Read in this order:

- `checkpoint`: from a checkpoint to embeddings: `load_checkpoint`, `embed_checkpoint`
- `checkpoint_file`: checkpoints as files: whole or not there, and never code
"""
