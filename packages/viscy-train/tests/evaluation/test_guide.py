"""The guide names each metric as the command prints it."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from few_shuffles import Few

from viscy_train.evaluation import evaluate_arrays

GUIDE = Path(__file__).resolve().parents[4] / "docs" / "guides" / "evaluation.md"


def told() -> list[tuple[str, str, str]]:
    """Return what is printed, its name, and which side is better, of each row of the guide's table."""
    lines = GUIDE.read_text(encoding="utf-8").splitlines()
    first = next(place for place, line in enumerate(lines) if line.startswith("| printed | name |"))
    rows = []
    for line in lines[first + 2 :]:
        if not line.startswith("|"):
            break
        printed, name, _, better = (one.strip() for one in line.strip("|").split("|"))
        rows.append((printed, name.strip("`"), better))
    return rows


@pytest.mark.skipif(not GUIDE.is_file(), reason="the guide is not beside the package")
def test_the_table_of_the_guide_is_what_is_measured_and_printed() -> None:
    # two experiments, in each of them four wells, four cells a well, three frames a cell
    cell = np.repeat(np.arange(2 * 4 * 4), 3)
    well = cell // 4 % 4
    experiment = np.where(cell < 16, "a", "b")
    name = [f"{one}/{number}" for one, number in zip(experiment, cell, strict=True)]
    obs = pd.DataFrame(
        {
            "experiment": experiment,
            "condition": np.where(well < 2, "infected", "uninfected"),
            "fov": [f"A/{one}/0" for one in well],
            "well": [f"A/{one}" for one in well],
            "t": np.tile(np.arange(3), 32),
            "global_track_id": name,
            "lineage_id": name,
        }
    )
    embedding = np.random.default_rng(0).normal(size=(len(obs), 4))
    found = evaluate_arrays(embedding, obs, resampling=Few())
    measured = [(one.definition.title, one.definition.name, one.definition.better) for one in found.outcomes]
    assert told() == measured


@pytest.mark.skipif(not GUIDE.is_file(), reason="the guide is not beside the package")
def test_the_guide_explains_its_words_before_it_uses_them() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    for word in ("probe", "lineage", "track", "unit"):
        explained = text.index(f"**{word}**")
        used = re.search(rf"\b{word}s?\b", text)
        assert used is not None
        assert used.start() == explained + 2, word
