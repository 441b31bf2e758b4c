"""Pages: what every report is made of: one way to lay a page out, one look, one set of colours and charts.

An audit, a bench and the report of a training tell different things, and each could write HTML of its own.
But three writers look three ways, and each has to remember to escape names that somebody else chose. So a
report is plain values, and only the modules here make markup of them. A page fetches nothing, neither script
nor font nor link, so that the file can be mailed.

The modules are public: import names from them, since the folder itself loads nothing.

Key types: `Page` (page), a title, verdicts, facts and sections of blocks; `Table` (table), which the terminal
shows too.

Read in this order:

- `page`: from values to one HTML file, by ``page.html`` and ``style.css``; `table`: tables of texts
- `markup`: elements, and the one place where text is escaped
- `pixels`: patches as pictures of 8 bits, for galleries
- `charts`: pictures that several reports draw; `svg`: their shapes; `colours`: what a colour means
"""
