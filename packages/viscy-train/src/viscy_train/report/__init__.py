"""The report's own pictures: arrays in, PNG out. `viscy_data.pages` makes the page, and all that is SVG.

What is told, and in which order, is the caller's affair.

Read in this order:

- `figures`: patches, maps, metrics and losses, drawn by matplotlib
"""
