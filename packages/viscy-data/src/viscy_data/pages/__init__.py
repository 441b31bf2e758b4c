"""Pages: what every HTML report is made of.

Read in this order:

- `svg`: small pictures as SVG text, scaled by the page
"""
