"""Groups of wells of an embeddings file compared: MMD between groups, and whether wells find their like.

Units of permutation are wells of experiments; groups are the values of a column that was given to wells.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from viscy_data import InvalidInputError, columns, marked, suggest, write_text
from viscy_train.evaluation.mmd import Discrepancy, mmd
from viscy_train.evaluation.profiles import Precision, profile_precision, well_profiles
from viscy_train.evaluation.reading import read_embeddings


@dataclass(frozen=True)
class Comparison:
    """Discrepancies of groups, precision of wells' profiles, or why there is none of the latter."""

    label: str
    discrepancies: tuple[Discrepancy, ...]
    precisions: tuple[Precision, ...]
    no_profiles: str = ""

    def write(self, path: str | Path) -> None:
        """Write all of it as JSON."""
        content: dict[str, Any] = {
            "label": self.label,
            "mmd": [one.to_dict() for one in self.discrepancies],
            "profiles": [one.to_dict() for one in self.precisions],
            **({"no_profiles": self.no_profiles} if self.no_profiles else {}),
        }
        write_text(path, json.dumps(marked(content, "viscy-train"), indent=1))


def compare_groups(path: str | Path, label: str = columns.CONDITION, *, layer: str = "") -> Comparison:
    """Compare the groups of a column of an embeddings file.

    Raises
    ------
    InvalidInputError
        If the file is not one of embeddings, lacks the column or the layer, a well has two values, or there
        are fewer than two groups.
    """
    file = read_embeddings(path, layer=layer)
    if label not in file.obs.columns:
        held = [str(name) for name in file.obs.columns]
        raise InvalidInputError(
            f"labels={label!r} is not a column of obs, which has {', '.join(held)}.{suggest(label, held)}"
        )
    profiles = well_profiles(file.embedding, file.obs, label=label)
    kept = np.isfinite(file.embedding).all(axis=1) & file.obs[label].notna().to_numpy()
    obs = file.obs[kept].astype({label: str, columns.EXPERIMENT: str, columns.WELL: str})
    if obs[label].nunique() < 2:
        raise InvalidInputError(f"labels={label!r}: all cells have one value; groups to compare are needed.")
    experiment = obs[columns.EXPERIMENT].to_numpy(str)
    wells = (obs[columns.EXPERIMENT] + "/" + obs[columns.WELL]).to_numpy(str)
    found = mmd(file.embedding[kept], obs[label].to_numpy(str), wells, experiment=experiment)
    try:
        return Comparison(label, found, profile_precision(profiles, label=label))
    except InvalidInputError as error:  # the library is not there; the rest is
        return Comparison(label, found, (), str(error))
