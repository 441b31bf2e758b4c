import json
import sys
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from viscy_data import InvalidInputError
from viscy_train.cli.app import main
from viscy_train.evaluation.profiles import Profiles, profile_precision, well_profiles
from viscy_train.evaluation.reading import quiet_anndata


def slow_average_precision(profiles: Profiles, apart: str) -> dict[str, float]:
    """Average precision from its definition, well by well, averaged over the wells of a label."""
    table = profiles.table
    centred = profiles.values - profiles.values.mean(axis=0)
    found: dict[str, list[float]] = {}
    for i in range(len(table)):
        others = [j for j in range(len(table)) if table[apart][j] != table[apart][i]]
        cosine = {
            j: centred[i] @ centred[j] / np.linalg.norm(centred[i]) / np.linalg.norm(centred[j])
            for j in others
        }
        right = [
            table["condition"][j] == table["condition"][i]
            for j in sorted(others, key=lambda j: cosine[j], reverse=True)
        ]
        if 0 < sum(right) < len(right):
            precisions = [sum(right[: k + 1]) / (k + 1) for k in range(len(right)) if right[k]]
            found.setdefault(table["condition"][i], []).append(float(np.mean(precisions)))
    return {name: float(np.mean(values)) for name, values in found.items()}


def screen(
    seed: int, *, experiments: int = 3, effect: float = 0.0, drugs: int = 2
) -> tuple[np.ndarray, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    wells = pd.MultiIndex.from_product([range(experiments), range(2 * drugs)], names=["experiment", "number"])
    obs = wells.to_frame(index=False).loc[np.repeat(np.arange(len(wells)), rng.integers(1, 6, len(wells)))]
    drug = obs["number"].to_numpy() % drugs
    obs = pd.DataFrame(
        {
            "experiment": [f"e{one}" for one in obs["experiment"]],
            "well": [f"A/{one}" for one in obs["number"]],
            "condition": [f"drug's {one}" for one in drug],  # a name that a query must not trip over
        }
    )
    embedding = rng.normal(size=(len(obs), 4))
    embedding[np.arange(len(obs)), drug] += effect
    return embedding, obs


@settings(max_examples=8)
@given(seed=st.integers(0, 99), experiments=st.integers(1, 3), drugs=st.integers(2, 3))
def test_precision_is_that_of_the_definition(seed: int, experiments: int, drugs: int) -> None:
    embedding, obs = screen(seed, experiments=experiments, drugs=drugs)
    profiles = well_profiles(embedding, obs)
    expected = slow_average_precision(profiles, "experiment" if experiments > 1 else "well")

    found = profile_precision(profiles)

    assert {one.label: pytest.approx(one.value) for one in found} == expected
    assert [one.wells for one in found] == [2 * experiments] * drugs


def test_profiles_are_means_and_medians_of_wells_in_any_order_of_rows() -> None:
    embedding, obs = screen(3)
    obs.loc[0, "condition"] = None
    embedding[1] = np.nan
    order = np.random.default_rng(0).permutation(len(obs))
    for centre, of in (("mean", np.mean), ("median", np.median)):
        found = well_profiles(embedding, obs, centre=centre)  # type: ignore[arg-type]
        again = well_profiles(embedding[order], obs.iloc[order], centre=centre)  # type: ignore[arg-type]
        np.testing.assert_allclose(found.values, again.values)
        for i, row in found.table.iterrows():
            rows = ((obs["experiment"] == row["experiment"]) & (obs["well"] == row["well"])).to_numpy(
                copy=True
            )
            rows[:2] = False
            np.testing.assert_allclose(found.values[i], of(embedding[rows], axis=0))  # type: ignore[call-overload]
            assert row["cells"] == rows.sum()


def test_an_effect_is_found_and_nothing_is_where_there_is_none() -> None:
    strong = profile_precision(well_profiles(*screen(0, effect=9.0)))
    assert all(one.value == pytest.approx(1) and one.above_chance == pytest.approx(1) for one in strong)
    assert all(one.p is not None and one.p < 0.01 for one in strong)
    by_chance = [
        one.p for seed in range(12) for one in profile_precision(well_profiles(*screen(seed, effect=0.0)))
    ]
    assert np.mean([p is not None and p <= 0.05 for p in by_chance]) < 0.2


def test_what_gives_no_number_says_why() -> None:
    embedding, obs = screen(0)
    once = obs.assign(condition=np.where(obs["experiment"] == "e0", "only here", obs["condition"]))
    (first, *_, last) = profile_precision(well_profiles(embedding, once))
    assert first.value is not None
    assert last.label == "only here"
    assert "one experiment" in last.reason
    (single,) = profile_precision(well_profiles(embedding, obs.assign(condition="x")))
    assert single.reason == "all wells have one label"


def test_a_library_that_is_missing_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "copairs", None)
    monkeypatch.setitem(sys.modules, "copairs.map", None)
    with pytest.raises(InvalidInputError, match=r"pip install 'viscy-train\[profiles\]'"):
        profile_precision(well_profiles(*screen(0)))


def test_labels_that_are_not_of_wells_are_refused() -> None:
    embedding, obs = screen(0)
    obs["cell"] = [str(number) for number in range(len(obs))]
    with pytest.raises(
        InvalidInputError, match=r"label='cell': cells of well .* have \d values; profiles need"
    ):
        well_profiles(embedding, obs, label="cell")
    with pytest.raises(InvalidInputError, match="no cell with a finite embedding has a value"):
        well_profiles(embedding, obs.assign(condition=None))
    with pytest.raises(InvalidInputError, match="lacks the columns"):
        well_profiles(embedding, obs.drop(columns="well"))


def test_the_command_compares_groups_of_wells(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    embedding, obs = screen(0, effect=9.0)
    obs.index = pd.Index([str(i) for i in range(len(obs))], dtype=object)
    embedding[3] = np.nan
    path, out = tmp_path / "e.zarr", tmp_path / "groups.json"
    with quiet_anndata():
        anndata.AnnData(embedding.astype(np.float32), obs=obs).write_zarr(path)

    assert main(["compare", str(path), "-o", str(out)]) == 0

    found = json.loads(out.read_text())
    assert found["mmd"][0]["p"] == pytest.approx(2 / 6**3)
    assert len(found["mmd"]) == 4  # over all, and in three experiments
    assert [one["mean_average_precision"] for one in found["profiles"]] == [1, 1]
    assert "drug's 0 - drug's 1" in capsys.readouterr().out
    assert main(["compare", str(path), "--labels", "conditoin"]) == 1
    assert "Did you mean 'condition'" in capsys.readouterr().err
