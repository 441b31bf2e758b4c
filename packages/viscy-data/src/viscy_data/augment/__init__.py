"""Augmentation of whole batches (B, C, Z, Y, X), on the device that they are on.

Key types: `Augment`, `Geometry`, `Intensity` (transforms).

Read in this order:

- `transforms`: random geometry and intensity, and the centre crop
- `intensities`: the operations on intensities, with a parameter for each sample or channel
"""
