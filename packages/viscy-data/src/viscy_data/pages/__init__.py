"""Pages: what every HTML report is made of: one way to lay a page out, one look, one set of pictures.

Key types: `Grid` (grid), a table of texts that the terminal and a page show.

Read in this order:

- `page`: a page and its sections, from ``page.html`` and ``style.css``
- `grid`: tables of texts, for the terminal and for a page
- `svg`: small pictures as SVG text, scaled by the page
"""
