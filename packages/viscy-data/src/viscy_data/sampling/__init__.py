"""Sampling: the PyTorch face of `viscy_data.composition`, over the columns of an anchors table.

The algorithm knows codes and counts. This folder turns columns into codes, deals batches out to ranks, and
keeps the place in the sequence so that training can go on from it. It reads no image.

Key types: `FlexibleBatchSampler` (sampler).

Read in this order:

- `sampler`: the sampler: batches of one rank, as lists of row numbers; `batch`: one that knows which it is
- `labels`: from columns to codes; `marks`: lineage, frame and hour of anchors, for reports
- `flat`: keyword arguments for what most people ask for; `plan_file`: a plan in YAML
- `plan_options`: a plan on the command line; `described`: a plan in a line for people
- `state`: where a sampler stands; `batch_iterator`: an iterator that can say where it stands
- `ranks`: noticing that ranks were given different tables, plans or seeds
- `feasible`: what a table cannot give a plan, said before the first batch; `ramp`: plans between two plans
- `shard`: which batches a rank takes; `fingerprint`: short texts that tell plans and tables apart
- `asked`: what each batch is asked to hold; `tally`: counts of what batches hold, block by block
- `report`: the two beside one another; `deviations`: where the two differ
- `notes`: what a plan warns of on a table, collected
"""
