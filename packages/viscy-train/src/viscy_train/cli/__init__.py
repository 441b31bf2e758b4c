"""The command line ``viscy-train``: ``demo | fit | embed | evaluate``.

Read in this order:

- `app`: the commands together, and `main`
"""
