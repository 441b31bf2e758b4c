"""Small experiments with known truth: plates, tracks and an experiments file, made from nothing.

Every field of view is a function of (seed, experiment, field of view) alone: the number of threads and the
order of work change no byte.

Key types: `Recipe` (recipe), how much of everything; `Setup` (setup), one experiment's cell line and
microscope.

Read in this order:

- `recipe`: how much of everything, and the design of plates
- `setup`: what differs between experiments and between wells: the batch effect
- `cells`: movement, division, and the phenotype that grows in infected wells only
- `drawing`: from cells to light; `camera`: from light to counts
- `knowledge`: a plate map and annotations, for columns of one's own
- `writing`: whole experiments, several fields of view at a time: `synthesize`
"""
