import numpy as np
import pandas as pd
import pytest

from viscy_train.evaluation import evaluate_arrays
from viscy_train.evaluation.quick_probe import quick_probe


def cells(experiments: int) -> tuple[np.ndarray, pd.DataFrame]:
    rng = np.random.default_rng(experiments)
    number = np.repeat(np.arange(experiments * 4), 10)
    well, experiment = [f"A/{one % 4}" for one in number], [f"e{one // 4}" for one in number]
    obs = pd.DataFrame({"experiment": experiment, "well": well, "fov": [f"{one}/0" for one in well], "t": 0})
    obs["global_track_id"] = obs["lineage_id"] = [f"{one}/{i}" for i, one in enumerate(number)]
    obs["condition"] = np.where(number % 2, "mock", "drug")
    return rng.normal(size=(len(obs), 3)) + 0.7 * (number % 2)[:, None], obs


@pytest.mark.parametrize(("experiments", "name"), [(3, "condition_left_out"), (1, "condition_by_unit")])
def test_it_is_the_number_of_evaluate(experiments: int, name: str) -> None:
    embedding, obs = cells(experiments)
    found = quick_probe(embedding, obs)
    every = evaluate_arrays(embedding, obs)
    names = [one.name for one in every.outcomes]
    assert f"{name}/auroc" in names, names
    outcome = every[f"{name}/auroc"].to_dict()
    assert found.value == pytest.approx(outcome["value"])
    assert found.cells == outcome["n"]
    assert found.left_out == ("experiments" if experiments > 1 else "wells")


def test_what_cannot_be_told_has_a_reason() -> None:
    embedding, obs = cells(1)
    assert "no condition" in quick_probe(embedding, obs.assign(condition=None)).reason
    assert quick_probe(embedding, obs.assign(condition="x")).value is None
    assert "well" in quick_probe(embedding[:20], obs[:20]).reason  # one well of each
