"""What a user would know beside tracks: a plate map of drugs, and what somebody annotated.

Columns of one's own cannot be tried without a table of them. So plates get a map that puts a control and a
drug at two doses into the wells of each condition in turn. The drug does nothing to the cells: an embedding
has no way to tell it. And they get annotations of every second track, frame by frame: cells are *flat*,
*round* where the phenotype shows, or *dividing*, and the rare ones weigh more.
"""

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from viscy_data.columns import FOV, TRACK_ID, WELL, T

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

MAP_FILE: Final = "plate_map.csv"
ANNOTATIONS_FILE: Final = "annotations.csv"
DRUGS: Final = (("DMSO", 0.0), ("nocodazole", 0.1), ("nocodazole", 1.0))
"""Drug and dose, in micromolar, of the wells of a condition, in turn."""
WEIGHTS: "Final[Mapping[str, float]]" = {"flat": 1.0, "round": 3.0, "dividing": 3.0}
"""What annotations say, and the weight of each."""
_SHOWS: Final = 0.5


def plate_map(condition_wells: "Mapping[str, Sequence[str]]") -> pd.DataFrame:
    """Return the drug and the dose of each well.

    Examples
    --------
    >>> plate_map({"uninfected": ["A/1", "A/2"], "infected": ["B/1"]}).to_numpy().tolist()
    [['A1', 'DMSO', 0.0], ['A2', 'nocodazole', 0.1], ['B1', 'DMSO', 0.0]]
    """
    rows = [
        (well.replace("/", ""), *DRUGS[place % len(DRUGS)])
        for wells in condition_wells.values()
        for place, well in enumerate(wells)
    ]
    return pd.DataFrame(rows, columns=[WELL, "drug", "dose_um"])


def annotations(truth: pd.DataFrame) -> pd.DataFrame:
    """Return a label and a weight for each frame of every second track, from the truth of one experiment."""
    known = truth[truth[TRACK_ID] % 2 == 0]
    label = np.select([known["mitosis"] > _SHOWS, known["phenotype"] > _SHOWS], ["dividing", "round"], "flat")
    table = known[[FOV, TRACK_ID, T]].assign(label=label, weight=pd.Series(label, known.index).map(WEIGHTS))
    return table.sort_values([FOV, TRACK_ID, T])


def write_knowledge(folder: "Path", wells: "Mapping[str, Sequence[str]]", truth: pd.DataFrame) -> None:
    """Write both tables of one experiment into its folder."""
    plate_map(wells).to_csv(folder / MAP_FILE, index=False)
    annotations(truth).to_csv(folder / ANNOTATIONS_FILE, index=False)


def entries_of(name: str, number: int) -> dict[str, Any]:
    """Return the keys of the experiments file that name the tables of an experiment."""
    return {
        "columns": {"microscope": f"microscope {number % 2 + 1}"},
        "well_columns": f"{name}/{MAP_FILE}",
        "cell_columns": {
            "path": f"{name}/{ANNOTATIONS_FILE}",
            "fill": {"label": "not annotated", "weight": 1.0},
        },
    }
