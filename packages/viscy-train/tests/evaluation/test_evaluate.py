import json
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from few_shuffles import Few
from hypothesis import given, settings
from hypothesis import strategies as st

from viscy_data.errors import InvalidInputError
from viscy_train.evaluation import Controls, Metric, NotAvailable, Resampling, evaluate, evaluate_arrays
from viscy_train.evaluation.evaluate import thin
from viscy_train.evaluation.reading import quiet_anndata

FEW = Few()


def anchors(lineages: int = 36, frames: int = 5) -> pd.DataFrame:
    """Return a small table: three experiments, two conditions, one track for each lineage."""
    lineage = np.repeat(np.arange(lineages), frames)
    experiment = np.array(["a", "b", "c"])[lineage % 3]
    name = [f"{one}/A/1/0/{number}" for one, number in zip(experiment, lineage, strict=True)]
    return pd.DataFrame(
        {
            "experiment": pd.Categorical(experiment),
            "condition": pd.Categorical(np.array(["infected", "uninfected"])[(lineage // 3) % 2]),
            "fov": "A/1/0",
            "t": np.tile(np.arange(frames), lineages).astype(np.int32),
            "global_track_id": pd.Categorical(name),
            "lineage_id": pd.Categorical(name),
        }
    )


def embedding_of(obs: pd.DataFrame, seed: int = 0) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    rng = np.random.default_rng(seed)
    codes = pd.factorize(obs["lineage_id"])[0]
    place = rng.normal(size=(codes.max() + 1, 4))[codes]
    place[:, 0] += 6.0 * (obs["condition"] == "infected").to_numpy()
    return place + 0.1 * rng.normal(size=(len(obs), 4))


def test_every_metric_is_there_with_its_evidence() -> None:
    obs = anchors()
    result = evaluate_arrays(embedding_of(obs), obs, resampling=FEW)
    assert [outcome.name for outcome in result.outcomes if isinstance(outcome, NotAvailable)] == []
    assert len({outcome.name for outcome in result.outcomes}) == len(result.outcomes) == 17
    table = result.table()
    value = dict(zip(table["metric"], table["value"], strict=True))
    assert value["condition_left_out/auroc"] > 0.95
    assert value["experiment_leakage/balanced_accuracy"] < 0.6
    assert (table["low"] <= table["value"] + 1e-9).all()
    assert (table["n"] > 0).all()


@pytest.mark.parametrize(
    ("change", "missing", "there"),
    [
        ({"condition": None}, "condition_left_out/auroc", "experiment_leakage/auroc"),
        ({"experiment": "a"}, "experiment_mixing", "condition_by_unit/auroc"),
        ({"t": 0}, "smoothness", "experiment_mixing"),
        ({"condition": "infected"}, "retrieval/same_condition", "experiment_leakage/f1"),
    ],
)
def test_a_missing_label_is_said_and_the_rest_is_measured(
    change: dict[str, str | int | None], missing: str, there: str
) -> None:
    obs = anchors()
    result = evaluate_arrays(
        embedding_of(obs),
        obs.assign(**change),
        resampling=FEW,
    )
    outcome = result[missing]
    assert isinstance(outcome, NotAvailable)
    assert outcome.reason
    assert isinstance(result[there], Metric)
    assert "reason" in result.table().columns


def test_a_table_without_a_condition_column_is_like_one_without_values() -> None:
    obs = anchors()
    embedding = embedding_of(obs)
    without = evaluate_arrays(embedding, obs.drop(columns="condition"), resampling=FEW)
    empty = evaluate_arrays(embedding, obs.assign(condition=None), resampling=FEW)
    assert without == empty


def test_cells_of_unknown_condition_are_left_out_of_what_needs_it() -> None:
    obs = anchors()
    known = (obs["experiment"] != "c").to_numpy()
    result = evaluate_arrays(
        embedding_of(obs), obs.assign(condition=obs["condition"].where(known)), resampling=FEW
    )
    for name, rows in (("condition_left_out/f1", known.sum()), ("effective_rank", len(obs))):
        outcome = result[name]
        assert isinstance(outcome, Metric)
        assert outcome.n == rows


def test_any_column_takes_the_place_of_the_condition() -> None:
    obs = anchors()
    embedding = embedding_of(obs)
    by_condition = evaluate_arrays(embedding, obs, resampling=FEW)
    renamed = obs.rename(columns={"condition": "drug"})
    by_drug = evaluate_arrays(embedding, renamed, labels="drug", resampling=FEW)
    numbers = ["value", "low", "high", "shuffled", "n", "units", "unit"]
    pd.testing.assert_frame_equal(by_drug.table()[numbers], by_condition.table()[numbers])
    assert by_drug["drug_left_out/f1"].definition.title.startswith("drug, experiment left out")
    assert by_drug.to_dict()["labels"] == ["drug"]
    empty = evaluate_arrays(embedding, obs.assign(drug=None), labels="drug", resampling=FEW)
    outcome = empty["drug_left_out/f1"]
    assert isinstance(outcome, NotAvailable)
    assert outcome.reason == "no cell has a value of drug"


def test_labels_that_are_no_labels_are_refused() -> None:
    obs = anchors().assign(area=np.random.default_rng(0).normal(size=180), drug="DMSO")
    with pytest.raises(InvalidInputError, match=r"labels='drgu' is not a column of obs.*Did you mean 'drug'"):
        evaluate_arrays(embedding_of(obs), obs, labels="drgu", resampling=FEW)
    with pytest.raises(InvalidInputError, match="labels='area' holds numbers of 180 values"):
        evaluate_arrays(embedding_of(obs), obs, labels="area", resampling=FEW)


@settings(max_examples=2)
@given(st.integers(0, 99))
def test_the_order_of_rows_does_not_matter_where_nothing_is_drawn(seed: int) -> None:
    obs = anchors(24)
    embedding = embedding_of(obs)
    order = np.random.default_rng(seed).permutation(len(obs))
    before = evaluate_arrays(embedding, obs, resampling=FEW)
    after = evaluate_arrays(embedding[order], obs.iloc[order], resampling=FEW)
    for name in ("condition_left_out/auroc", "experiment_mixing", "retrieval/next_frame", "effective_rank"):
        one, other = before[name], after[name]
        assert isinstance(one, Metric)
        assert isinstance(other, Metric)
        assert other.value == pytest.approx(one.value, abs=1e-6)


def test_large_tables_are_thinned_by_whole_lineages() -> None:
    obs = anchors()
    result = evaluate_arrays(embedding_of(obs), obs, max_cells=62, resampling=FEW)
    assert (result.cells, result.of_cells) == (60, 180)


@settings(max_examples=30)
@given(st.integers(0, 99), st.lists(st.integers(1, 30), min_size=1, max_size=5), st.integers(5, 60))
def test_thinning_keeps_whole_lineages_of_every_experiment(seed: int, sizes: list[int], most: int) -> None:
    experiment = np.repeat(np.arange(len(sizes)), sizes)
    lineage = np.random.default_rng(seed).integers(0, 4, experiment.size) + 10 * experiment
    obs = pd.DataFrame({"experiment": experiment, "lineage_id": lineage})
    kept = thin(obs, most, Resampling(seed=seed))
    assert set(obs[kept]["experiment"]) == set(experiment)
    assert not set(obs[kept]["lineage_id"]) & set(obs[~kept]["lineage_id"])
    one_each = obs.groupby("lineage_id").size().groupby(lambda number: number // 10).max().sum()
    assert kept.sum() <= max(most, one_each) + one_each
    if experiment.size <= most:
        assert kept.all()


def test_missing_columns_and_other_lengths_are_refused() -> None:
    obs = anchors()
    with pytest.raises(InvalidInputError, match=r"lacks the columns \['lineage_id'\]"):
        evaluate_arrays(embedding_of(obs), obs.drop(columns="lineage_id"))
    with pytest.raises(InvalidInputError, match=r"len\(obs\)=179"):
        evaluate_arrays(embedding_of(obs), obs.iloc[1:])


def test_a_file_is_measured_like_its_arrays_and_the_result_is_written(tmp_path: Path) -> None:
    obs = anchors()
    obs = pd.DataFrame({name: obs[name].astype(object) for name in obs}).set_index(
        obs.index.map(str).astype(object)
    )
    embedding = embedding_of(obs).astype(np.float32)
    with quiet_anndata():
        anndata.AnnData(X=embedding, obs=obs).write_zarr(tmp_path / "embeddings.zarr")
    result = evaluate(tmp_path / "embeddings.zarr", resampling=FEW)
    assert result == evaluate_arrays(embedding, obs, resampling=FEW)
    result.write(tmp_path / "metrics.json")
    assert len(json.loads((tmp_path / "metrics.json").read_text())["metrics"]) == 17
    result.write(tmp_path / "metrics.json")  # of our making, so it may be replaced
    with pytest.raises(InvalidInputError, match="is a folder"):
        result.write(tmp_path / "embeddings.zarr")
    assert not list(tmp_path.glob("*.part"))


def test_several_labels_by_hours_and_corrected_beside_uncorrected() -> None:
    obs = anchors()
    obs["hours_post_infection"] = 2.0 * obs["t"]
    obs["drug"] = np.array(["x", "y"])[np.arange(len(obs)) // 5 // 6 % 2]
    embedding = embedding_of(obs) + 4 * np.eye(4)[1 + pd.factorize(obs["experiment"])[0]]
    mock = Controls("condition", "uninfected")
    result = evaluate_arrays(embedding, obs, labels=("condition", "drug"), controls=mock)
    assert [headline.label for headline in result.headlines] == ["condition", "drug"]
    assert result.headlines[0].answer.startswith("1.00")
    assert "from the first hours on" in result.headlines[0].answer
    assert result.headlines[1].answer.startswith("Not shown")
    assert [one.label for one in result.series] == ["condition", "drug"]
    assert [one.start for one in result.series[0].bins] == [0, 2, 4, 6, 8]
    assert sum(one.n for _, one in result.series[0].metrics) == len(obs)
    corrected = result.corrected
    assert corrected is not None
    assert [one.name for one in corrected.outcomes] == [one.name for one in result.outcomes]
    name = "experiment_leakage/balanced_accuracy"
    before, after = result[name], corrected[name]
    assert isinstance(before, Metric)
    assert isinstance(after, Metric)
    assert before.value > 0.95
    assert after.value < before.value - 0.2
    assert json.loads(json.dumps(result.to_dict()))["corrected"]["controls"] == "condition=uninfected"
    # a plate without controls cannot be corrected, and all else is measured
    lacking = obs["condition"].mask(obs["experiment"] == "b", "infected")
    other = evaluate_arrays(embedding, obs.assign(condition=lacking), controls=mock, resampling=FEW)
    assert other.corrected is None
    assert other.uncorrected.startswith("experiment b has 0 such cells")


def test_a_condition_that_is_the_experiment_gives_no_number_anywhere() -> None:
    obs = anchors()
    alike = obs.assign(condition=obs["experiment"].map({"a": "x", "b": "y", "c": "z"}))
    result = evaluate_arrays(embedding_of(obs), alike, resampling=FEW)
    there = {one.name for one in result.outcomes if isinstance(one, Metric)}
    assert there == {"retrieval/next_frame", "smoothness", "dynamic_range", "effective_rank"}
    assert result.headlines[0].answer.startswith(
        "Nothing can be concluded: each value of condition is held by"
    )
