"""The audit of batches for people: what a plan's batches hold, before a model is trained on them.

A plan is a promise about proportions. An audit composes whole epochs without reading a pixel, counts what the
batches hold, and sets it beside what was asked, in the terminal and on a page.

Key types: `Audited` (audited), one plan on one table, composed and counted.

Read in this order:

- `command`: what ``viscy-data audit`` does, from a table and plans to audits
- `audited`: one plan on one table
- `splits`: what they hold of the values of any column
- `tables`: asked and held, as tables; `taus`: how far positives are
- `page`: the page; `charts`: its pictures; `patches`: the cells of a batch, where pixels are asked for
"""
