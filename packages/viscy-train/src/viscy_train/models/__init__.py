"""Models: what a trained encoder does with data of others, and the files that keep it.

A model is of use only with the channels, scale and normalisation that it was trained with; its file
(`viscy_train.packed`) holds them, so that embedding needs nothing but the file and a table.

Read in this order:

- `checkpoint_file`: checkpoints as files: whole or not there, and never code
- `packing`: from a checkpoint to a model's file
- `fitting`: a table read as a model was trained, or refused by name
- `embedding`: from a model and a table to embeddings
- `pixels`: raw pixels as an embedding, the floor of a model's
- `card_text`: the card of a model as text
- `export`: a model as an ONNX graph
"""
