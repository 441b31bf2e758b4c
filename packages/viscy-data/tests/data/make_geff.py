"""Write the GEFF fixtures of the tests with the library that defines the format.

The library pins an old numcodecs, so it has an environment of its own, and what it wrote is kept here:

    pip install geff==1.3.1.1.3 && python make_geff.py geff_1.3
    pip install geff==0.5.0 && python make_geff.py geff_0.5
"""

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import geff
import networkx as nx

# A cell divides after a gap (frame 2 is missing), and another stays alone. Ids are in no order.
NODES = {
    40: (0, 1.0, 10.5, 20.0),
    7: (1, 1.0, 11.5, 21.0),
    3: (3, 2.0, 12.5, 22.0),
    90: (4, 2.0, 8.5, 22.0),
    12: (4, 3.0, 16.5, 23.0),
    5: (5, 3.0, 17.5, 24.0),
    61: (2, 0.0, 30.25, 4.5),
}
LINKS = [(40, 7), (7, 3), (3, 90), (3, 12), (12, 5)]


def main() -> None:
    graph = nx.DiGraph()
    for node, (t, z, y, x) in NODES.items():
        graph.add_node(node, t=t, z=z, y=y, x=x, area=5 * node)
    graph.add_edges_from(LINKS, cost=0.5)
    here = Path(__file__).parent
    write = geff.write if hasattr(geff, "write") else geff.write_nx  # the name before version 1
    for zarr_format in (2, 3):
        with TemporaryDirectory() as folder:
            write(
                graph,
                Path(folder) / "tracks.geff",
                axis_names=["t", "z", "y", "x"],
                axis_units=["frame", "pixel", "pixel", "pixel"],
                axis_types=["time", "space", "space", "space"],
                zarr_format=zarr_format,
            )
            shutil.make_archive(str(here / f"{sys.argv[1]}_zarr{zarr_format}"), "zip", folder)


if __name__ == "__main__":
    main()
