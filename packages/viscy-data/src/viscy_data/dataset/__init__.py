"""The dataset: from the row numbers of a batch to patches of both views, and a loader that keeps up.

A row is an anchor; its positive is another row, some frames later. Both views of a batch are read together.
Nothing here knows how rows were chosen: any sampler's lists will do.

Key types: `AnchorDataset` (anchor_dataset), `AnchorLoader` (loader). Whose positive is which is a rule of the
tables: `viscy_data.tables.pairing`.

Read in this order:

- `anchor_dataset`: `AnchorDataset.__getitems__`, one grouped read per batch
- `opening`: what a dataset is opened with: the call's options, else those of the anchors file
- `pairs`: which row is whose positive; `replacement`: who takes the place of an anchor that cannot be read
- `shown`: what patches show, in one place
- `views`: both views, read together; `on_device`: the last step of normalisation, where the model is
- `loader`: a ``DataLoader`` set as reading with TensorStore needs it
- `look_ahead`: reading the next batches in this process
- `processes`: how workers are started and told to end; `watched`: saying how one died
- `sharing`: handing a large table to workers through a file
"""
