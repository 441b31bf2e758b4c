"""Small experiments with known truth: plates, tracks and an experiments file, made from nothing.

*recipe* says how much, *setup* what one experiment's cells and microscope are like (the batch effect),
*cells* simulates movement, division and the phenotype that grows in infected wells only, *drawing*
turns cells into light and *camera* light into counts. Every field of view is a function of (seed,
experiment, field of view) alone: the number of threads and the order of work change no byte.
"""
