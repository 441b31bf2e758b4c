"""One page to look at an embedding: a map, the patches behind its points, and a lasso that labels cells.

A number says that an embedding is poor; which cells it puts in the wrong place, and what they look like, one
has to see. The page holds everything it needs, so it can be opened without a network and sent to somebody.

Key types: `Viewed` (cells), what is shown; `Thumbnails` (thumbnails), its pictures; `Written` (write).

Read in this order:

- `write`: from an embeddings file to the page
- `cells`: which cells are shown; `labels`: the columns that a table of labels finds them by
- `maps`: places in a plane; `neighbours`: which cells are alike; `looks`: columns that are made of both
- `patches`: the table that cells came from; `thumbnails`: small pictures of 8 bits, and sheets of them
- `galleries`: cells on the page of an evaluation, at the ends of a probe and beside those most like them
- `page`: all of it as one document; view.js, view.css and view.html beside it are what a browser runs
"""
