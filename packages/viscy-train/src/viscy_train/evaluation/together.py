"""Several embeddings files, measured so that their numbers can be compared.

Two embeddings can be compared where they are of the same cells: then the rows that are finite in all of
them are measured, in one order, and differences have intervals (`differences`). A floor and a ceiling are
measured in the same way, of the same cells, and their numbers stand beside those of each file. Files that
share no cell are measured one by one, and nothing is said of which is better. Files that share some cells
only are refused: their numbers would differ by their cells, and a reader would take that for a difference
of models.
"""

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from viscy_data import InvalidInputError, columns, marked, shown, write_text
from viscy_train.evaluation.annotations import annotated
from viscy_train.evaluation.arrays import EmbeddingArray
from viscy_train.evaluation.correction import Controls
from viscy_train.evaluation.differences import Difference, differences
from viscy_train.evaluation.evaluate import evaluate, evaluate_arrays, model_digest_of
from viscy_train.evaluation.intervals import Resampling
from viscy_train.evaluation.reading import EmbeddingsFile, read_embeddings
from viscy_train.evaluation.result import Evaluation


@dataclass(frozen=True)
class Together:
    """Evaluations by name of the embedding.

    Attributes
    ----------
    evaluations : dict of str to Evaluation
    same_cells : bool
        Whether all are of the same cells, so that differences have pairs.
    """

    evaluations: dict[str, Evaluation]
    same_cells: bool = True

    @property
    def differences(self) -> tuple[Difference, ...]:
        """The first embedding less each other one, where they are of the same cells."""
        return differences(self.evaluations) if self.same_cells else ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "embeddings": {name: one.to_dict() for name, one in self.evaluations.items()},
            "same_cells": self.same_cells,
            "differences": [one.to_dict() for one in self.differences],
        }

    def write(self, path: str | Path) -> None:
        """Write the metrics as JSON: of one embedding as `Evaluation.write`, of several by their names."""
        if len(self.evaluations) == 1:
            next(iter(self.evaluations.values())).write(path)
        else:
            write_text(path, json.dumps(marked(self.to_dict(), "viscy-train"), indent=1))


def names_of(paths: Sequence[str | Path]) -> list[str]:
    """Return a name of each file: its stem, with as many folders before it as tell it from others.

    Raises
    ------
    InvalidInputError
        If a file is named twice.

    Examples
    --------
    >>> names_of(["runs/a/embeddings.zarr", "runs/b/embeddings.zarr"])
    ['a/embeddings', 'b/embeddings']
    """
    files = [Path(one).resolve() for one in paths]
    for place, file in enumerate(files):
        if file in files[:place]:
            raise InvalidInputError(f"embeddings={str(paths[place])!r} is named twice; name each file once.")
    whole = [Path(one).absolute() for one in paths]  # a link has a name of its own
    for depth in range(1, max(len(one.parts) for one in whole) + 1):
        names = ["/".join((*one.parts[-depth:-1], one.stem)) for one in whole]
        if len(set(names)) == len(names):
            return names
    return [str(one) for one in whole]


def evaluate_together(  # noqa: PLR0913  the options of the command, by name
    paths: Sequence[str | Path],
    *,
    labels: str | Sequence[str] = columns.CONDITION,
    leave_out: str = columns.EXPERIMENT,
    controls: Controls | None = None,
    floor: str | Path | None = None,
    ceiling: str | Path | None = None,
    layer: str = "",
    annotations: str | Path | None = None,
    max_cells: int = 20_000,
    resampling: Resampling | None = None,
    say: Callable[[str], None] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Together:
    """Measure embeddings files side by side; other parameters as of `evaluate`.

    Parameters
    ----------
    paths : sequence of str or Path
    floor : str or Path, optional
        Embeddings of the same cells that are to be beaten, such as raw pixels.
    ceiling : str or Path, optional
        Embeddings of the same cells that are the best to be expected, such as of an encoder trained with the
        labels.

    Raises
    ------
    InvalidInputError
        If files share some of their cells only, a floor or ceiling is of other cells, or files say different
        things of the same cells.
    """
    named = dict(zip(names_of(paths), paths, strict=True))
    given = {"floor": floor, "ceiling": ceiling}
    limits = {role: path for role, path in given.items() if path is not None}
    _check_limits(limits)
    options: dict[str, Any] = {
        "labels": labels,
        "leave_out": leave_out,
        "controls": controls,
        "max_cells": max_cells,
        "resampling": resampling,
        "progress": progress,
    }
    apart = options | {"layer": layer, "annotations": annotations, "say": say}
    if len(named) == 1 and not limits:
        return Together({name: evaluate(path, **apart) for name, path in named.items()})
    files = {f"embeddings={shown(name)!r}": path for name, path in named.items()}
    role_of = {role: _key(role, path, files) for role, path in limits.items()}
    files |= {role_of[role]: path for role, path in limits.items()}
    read = {key: read_embeddings(path, layer=layer) for key, path in files.items()}
    if not _same_cells(read, list(role_of.items())):
        return Together({name: evaluate(path, **apart) for name, path in named.items()}, same_cells=False)
    asked = [labels] if isinstance(labels, str) else list(labels)
    asked += [leave_out, columns.HOURS, *([controls.column] if controls is not None else [])]
    first, arrays = _in_one_order(read, asked)
    if annotations is not None:
        first, said = annotated(first, annotations)
        if say is not None:
            say(said)
    found = {
        key: replace(evaluate_arrays(array, first, **options), model_digest=model_digest_of(read[key]))
        for key, array in arrays.items()
    }
    beside = {role: found[key] for role, key in role_of.items()}
    called: dict[str, Any] = {role: names_of([path])[0] for role, path in limits.items()}
    return Together(
        {
            name: replace(found[key].with_limits(**beside), **called)
            for name, key in zip(named, found, strict=False)
        }
    )


def _check_limits(limits: Mapping[str, str | Path]) -> None:
    if len(limits) > 1 and len({Path(path).resolve() for path in limits.values()}) == 1:
        raise InvalidInputError(
            f"ceiling={str(limits['ceiling'])!r} is the floor as well; name another file, or one of both."
        )


def _key(role: str, path: str | Path, files: Mapping[str, str | Path]) -> str:
    """Return how errors name a limit: as a file that is measured anyway, where it is one."""
    same = (key for key, other in files.items() if Path(other).resolve() == Path(path).resolve())
    return next(same, f"{role}={str(path)!r}")


def _in_one_order(
    files: Mapping[str, EmbeddingsFile], asked: Sequence[str]
) -> tuple[pd.DataFrame, dict[str, EmbeddingArray]]:
    """Return the columns of the first file, and each embedding, of the cells that are finite in all."""
    first = next(iter(files.values())).obs
    arrays = {}
    for name, file in files.items():
        order = file.obs.index.get_indexer(first.index)
        _check_columns(name, first, file.obs.iloc[order], asked)
        arrays[name] = file.embedding[order]
    finite = np.all([np.isfinite(array).all(axis=1) for array in arrays.values()], axis=0)
    if not finite.any():
        raise InvalidInputError("No row is finite in all embeddings; embed them anew.")
    if not finite.all():
        warnings.warn(
            f"{(~finite).sum()} of {len(finite)} rows are not finite in some embedding: left out of all.",
            stacklevel=3,
        )
    return first[finite], {name: array[finite] for name, array in arrays.items()}


def _same_cells(files: Mapping[str, EmbeddingsFile], limits: Sequence[tuple[str, str]] = ()) -> bool:
    """Tell whether all are of the same cells, or none shares any with another; else refuse."""
    found = list(files.items())
    for name, file in found:
        if not file.obs.index.is_unique:
            raise InvalidInputError(
                f"{name}: rows have no names of their own, by which cells of two files "
                "are compared; evaluate it alone, or embed it anew."
            )
    for role, key in limits:
        for name, file in found:
            cells = files[key].obs.index
            shared = int(cells.isin(file.obs.index).sum())
            if not shared == len(cells) == len(file.obs):
                raise InvalidInputError(
                    f"{key}: a {role} is of the same cells, and {shared:,} of its {len(cells):,} are "
                    f"among the {len(file.obs):,} of {name}. Embed the same table with both."
                )
    relations = []
    for place, (name, file) in enumerate(found):
        for other, theirs in found[:place]:
            shared = int(file.obs.index.isin(theirs.obs.index).sum())
            if shared and not shared == len(file.obs) == len(theirs.obs):
                raise InvalidInputError(
                    f"{other} and {name} are of different tables: {shared:,} "
                    f"cells are in both, of {len(theirs.obs):,} and {len(file.obs):,}. Embed one table with "
                    "both models, or evaluate them one at a time."
                )
            relations.append(shared > 0)
    if any(relations) and not all(relations):
        raise InvalidInputError(
            "embeddings: some of these files are of the same cells and others share none with them; "
            "evaluate those of the same cells together, and the others on their own."
        )
    return all(relations)


def _check_columns(name: str, first: pd.DataFrame, other: pd.DataFrame, asked: Sequence[str]) -> None:
    """Refuse files that say different things of the same cells.

    Floats that nothing is asked of may come from the embedding itself, and differ.
    """
    for column in [one for one in first if one in other]:
        if pd.api.types.is_float_dtype(first[column]) and column not in asked:
            continue
        mine, theirs = (one[column].astype(object).to_numpy() for one in (first, other))
        differ = (mine != theirs) & ~(pd.isna(mine) & pd.isna(theirs))
        if column in _OF_THE_FILE or not differ.any():
            continue
        row = int(np.flatnonzero(differ)[0])
        raise InvalidInputError(
            f"{name}: column {shown(column)!r} says {shown(theirs[row])!r} of the cell "
            f"{shown(first.index[row])!r}, of which the first file says {shown(mine[row])!r}; index once and "
            "embed that table with both models."
        )


_OF_THE_FILE = ("row",)
"""Columns that say where a cell is in its table."""
