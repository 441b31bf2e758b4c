"""What all tests share."""

import os

# pytest-xdist runs a test process per core, and some tests start ranks and workers of their own: with a
# thread per core in each of them they would mostly wait for one another. PyTorch and NumPy read it when they
# are imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
