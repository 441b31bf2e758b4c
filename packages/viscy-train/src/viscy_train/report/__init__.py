"""The report's own pictures and words: evaluations in, a page out; `viscy_data.pages` makes the markup.

Read in this order:

- `evaluation_page`: the page of one embedding, or of several side by side
- `headlines`: the answer that comes first; `sentences`: what a number says, for a biologist
- `curves`: curves over hours and intervals beside each other, as SVG
- `figures`: patches, maps and losses, drawn by matplotlib
"""
