"""The command line ``viscy-data``: one file for each command, each a thin face of one function.

Read in this order:

- `app`: the commands together, and `main`
- `convert`, `synthesize`, `import_viscy`, `index`, `audit`, `check`, `bench`, `optimize`: a command each
- `options`: what several commands share
- `tables`: tables that the commands print
- `plain_errors`: how commands end: a sentence for our own errors, a traceback for everything else
"""
