"""The report: one HTML file that holds its pictures and needs nothing else.

What is told, and in which order, is the caller's affair.

Key types: `Page`, `Section`, `Picture`, `Table` (page).

Read in this order:

- `page`: from plain values to HTML
- `figures`: from arrays to pictures; `charts`: pictures of batches and of metrics
"""

from viscy_train.report.charts import BatchLabels, batches_figure, metrics_figure
from viscy_train.report.figures import (
    CONDITION_COLOURS,
    EMBEDDING_COLOURS,
    EXPERIMENT_COLOURS,
    loss_figure,
    maps_figure,
    patches_figure,
)
from viscy_train.report.page import Cell, Page, Paragraph, Picture, Section, Table, render, write_page

__all__ = [
    "CONDITION_COLOURS",
    "EMBEDDING_COLOURS",
    "EXPERIMENT_COLOURS",
    "BatchLabels",
    "Cell",
    "Page",
    "Paragraph",
    "Picture",
    "Section",
    "Table",
    "batches_figure",
    "loss_figure",
    "maps_figure",
    "metrics_figure",
    "patches_figure",
    "render",
    "write_page",
]
