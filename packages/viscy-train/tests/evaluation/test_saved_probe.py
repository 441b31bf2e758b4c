import json
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from viscy_data import InvalidInputError, join_annotations
from viscy_train.cli.app import main
from viscy_train.evaluation.correction import Controls
from viscy_train.evaluation.labelling import fit_and_save, label_cells
from viscy_train.evaluation.layers import write_corrected
from viscy_train.evaluation.reading import quiet_anndata, read_embeddings
from viscy_train.evaluation.saved_probe import Origin, SavedProbe, read_probe


def embeddings(path: Path, *, digest: str = "0123456789abcdef", width: int = 4, channels: int = 1) -> Path:
    """Write two experiments of tracks; the first feature tells the condition, one row is not finite."""
    rng = np.random.default_rng(width)
    keys = pd.MultiIndex.from_product(
        [["e0", "e1"], ["A/1/0", "A/2/0"], range(12), range(2), range(channels)],
        names=["experiment", "fov", "track_id", "t", "row"],
    )
    obs = keys.to_frame(index=False)
    obs["global_track_id"] = [f"{one.experiment}/{one.fov}/{one.track_id}" for one in obs.itertuples()]
    obs["lineage_id"] = obs["global_track_id"]
    obs["condition"] = np.where(obs["fov"] == "A/1/0", "mock", "drug")
    obs.index = pd.Index([str(i) for i in range(len(obs))], dtype=object)
    values = rng.normal(size=(len(obs), width)).astype(np.float32)
    values[:, 0] += 4 * (obs["condition"] == "drug")
    values[5] = np.nan
    with quiet_anndata():
        anndata.AnnData(values, obs=obs, uns={"viscy_train": {"model_digest": digest}}).write_zarr(path)
    return path


@pytest.mark.parametrize("classes", [2, 4])
def test_probabilities_after_the_file_are_those_of_the_regression(tmp_path: Path, classes: int) -> None:
    rng = np.random.default_rng(classes)
    codes = rng.integers(0, classes, 200)
    embedding = rng.normal(size=(200, 6)) + codes[:, None]
    names = np.array(["ä, b", "c'd", "e/f", "g"])[:classes]
    labels = pd.Series(pd.Categorical(names[codes]), name="shape").where(codes >= 0)

    SavedProbe.fit(embedding, labels, Origin()).write(tmp_path / "probe.json")
    probe = read_probe(tmp_path / "probe.json")

    scaler = StandardScaler().fit(embedding)
    model = LogisticRegression(class_weight="balanced", max_iter=1000)
    model.fit(scaler.transform(embedding), names[codes].astype(str))
    assert list(probe.classes) == list(model.classes_)
    expected = model.predict_proba(scaler.transform(embedding))
    np.testing.assert_allclose(probe.probabilities(embedding), expected, atol=1e-6)
    assert probe.cells == tuple(np.bincount(codes)[np.argsort(names)])


def test_labels_of_cells_are_read_by_the_join_of_the_index(tmp_path: Path) -> None:
    path = embeddings(tmp_path / "e.zarr")
    fit_and_save(path, tmp_path / "p.json", "condition")

    found = label_cells(path, tmp_path / "p.json", tmp_path / "labels.csv")

    assert found.not_finite == 1
    assert sum(found.counts.values()) == 95
    file = read_embeddings(path)
    columns, report = join_annotations(tmp_path / "labels.csv", file.obs)
    assert (report.rows, report.matched, report.cells_without_row) == (95, 95, 1)
    finite = columns["condition_predicted"].notna()
    assert (columns["condition_predicted"] == file.obs["condition"])[finite].mean() > 0.9
    assert columns["condition_probability"][finite].between(0.5, 1).all()


def test_channels_of_a_cell_share_one_label(tmp_path: Path) -> None:
    path = embeddings(tmp_path / "e.zarr", channels=2)
    probe = fit_and_save(path, tmp_path / "p.json", "condition")
    label_cells(path, tmp_path / "p.json", tmp_path / "labels.csv")

    table = pd.read_csv(tmp_path / "labels.csv")
    file = read_embeddings(path)
    mean = np.nanmean(probe.probabilities(file.embedding).reshape(-1, 2, 2), axis=1)
    assert len(table) == len(mean)
    np.testing.assert_allclose(table["condition_probability"], mean.max(axis=1), atol=1e-4)


def test_an_embedding_that_does_not_fit_is_refused_by_name(tmp_path: Path) -> None:
    path, probe = embeddings(tmp_path / "e.zarr"), tmp_path / "p.json"
    fit_and_save(path, probe, "condition")
    for other, said in (
        (
            embeddings(tmp_path / "model.zarr", digest="fedcba98"),
            r"the model 0123456789.*this embedding is of fedcba98",
        ),
        (embeddings(tmp_path / "width.zarr", width=5), "takes 4 features, and this embedding has 5"),
    ):
        with pytest.raises(InvalidInputError, match=said):
            label_cells(other, probe, tmp_path / "labels.csv")
    assert not (tmp_path / "labels.csv").exists()

    write_corrected(path, Controls("condition", "mock"))
    fit_and_save(path, probe, "condition", layer="corrected")
    label_cells(path, probe, tmp_path / "labels.csv")
    bare = embeddings(tmp_path / "bare.zarr")
    with pytest.raises(InvalidInputError, match=r"layer='corrected' is not a layer .* viscy-train correct"):
        label_cells(bare, probe, tmp_path / "other.csv")
    write_corrected(bare, Controls("condition", "mock"), method="whiten")
    with pytest.raises(InvalidInputError, match=r"method=scale.*method=whiten.*the same way"):
        label_cells(bare, probe, tmp_path / "other.csv")


def test_only_probes_of_this_version_are_read(tmp_path: Path) -> None:
    good = SavedProbe.fit(np.arange(8.0)[:, None] % 2, pd.Series(["a", "b"] * 4, name="x"), Origin())
    values = good.model_dump(mode="json")
    changes: tuple[tuple[dict[str, Any], str], ...] = (
        ({"format": 2}, "format"),
        ({"weights": [[1.0]]}, "2 classes and 1 features"),
        ({"scale": [0.0]}, "greater than 0"),
        ({"bias": ["1; import os", 0.0]}, "valid number"),
        ({"classes": ["a", "a"]}, "2 classes"),
    )
    for number, (change, said) in enumerate(changes):
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps({"probe": values | change}))
        with pytest.raises(InvalidInputError, match=said):
            read_probe(path)
    for text, said in (
        ("[]", "not a probe"),
        ("{}", "holds no probe"),
        ("\x80", "not JSON"),
        ("NaN", "not a probe"),
    ):
        (tmp_path / "text.json").write_text(text)
        with pytest.raises(InvalidInputError, match=said):
            read_probe(tmp_path / "text.json")
    with pytest.raises(InvalidInputError, match="does not exist"):
        read_probe(tmp_path / "no.json")
    with pytest.raises(InvalidInputError, match="cells have only a"):
        SavedProbe.fit(np.ones((4, 1)), pd.Series(["a"] * 4, name="x"), Origin())


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("NA", "b"), "class 'NA' is read from a table as a value that is missing"),
        (("1", "01"), "read from a table as one number"),
    ],
)
def test_classes_that_a_table_would_not_give_back_are_refused(names: tuple[str, str], said: str) -> None:
    array = np.arange(40.0)[:, None] % 2
    with pytest.raises(InvalidInputError, match=said):
        SavedProbe.fit(array, pd.Series(list(names) * 20, name="label"), Origin())


def test_numbers_of_32_bits_are_classes_as_they_are_written() -> None:
    doses = pd.Series([0.1, 0.5] * 20, name="dose", dtype="float32")
    assert SavedProbe.fit(np.arange(40.0)[:, None] % 2, doses, Origin()).classes == ("0.1", "0.5")


def test_embeddings_that_do_not_say_their_model_are_labelled_with_a_warning(tmp_path: Path) -> None:
    path, probe = embeddings(tmp_path / "e.zarr", digest=""), tmp_path / "p.json"
    fit_and_save(path, probe, "condition")
    with pytest.warns(UserWarning, match="do not say which model they are of"):
        label_cells(path, probe, tmp_path / "labels.csv")


def test_the_command_counts_classes_and_replaces_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = embeddings(tmp_path / "e.zarr"), tmp_path / "labels.csv"
    fit_and_save(path, tmp_path / "p.json", "condition")
    given = ["label", str(path), str(tmp_path / "p.json"), "-o"]
    assert main([*given, str(out)]) == 0
    said = capsys.readouterr().out
    assert "95 cells: drug " in said
    assert "1 rows are not finite" in said
    for name, reason in ((str(out), "exists"), (str(tmp_path / "a.parquet"), "ends in .csv")):
        assert main([*given, name]) == 1
        found = capsys.readouterr().err
        assert reason in found
        assert found.count("\n") == 1


@pytest.mark.filterwarnings("ignore:1 of 96 rows are not finite")
def test_evaluate_asks_for_annotations_and_keeps_their_probe(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = embeddings(tmp_path / "e.zarr")
    obs = read_embeddings(path).obs
    rows = (
        obs[["experiment", "fov", "track_id"]]
        .drop_duplicates()
        .assign(shape=lambda table: np.where(table["fov"] == "A/1/0", "round", "long"))
    )
    stranger = rows.iloc[:1].assign(track_id=999)
    pd.concat([rows.iloc[2:], stranger]).to_csv(tmp_path / "lasso.csv", index=False)
    given = ["evaluate", str(path), "--annotations", str(tmp_path / "lasso.csv"), "--labels", "shape"]

    assert main([*given, "--save-probe", str(tmp_path / "p.json")]) == 0

    said = " ".join(capsys.readouterr().out.split())
    assert "46 of 47 rows belong to a cell; 1 rows without a cell, 4 of 96 cells without a row" in said
    probe = read_probe(tmp_path / "p.json")
    assert probe.classes == ("long", "round")
    assert sum(probe.cells) == 91  # one row is not finite
    assert probe.metrics
    assert probe.answer.startswith("Can long be told from round? ")
    assert main(["label", str(path), str(tmp_path / "p.json"), "-o", str(tmp_path / "l.csv")]) == 0
    assert f"where it was fitted: {probe.answer}" in capsys.readouterr().out
    assert main([*given, "--labels", "condition", "--save-probe", str(tmp_path / "q.json")]) == 1
    assert "a probe is of one label" in capsys.readouterr().err
    assert main([*given[:2], "--layer", "corrected"]) == 1
    assert "viscy-train correct" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:1 of 96 rows are not finite", "always:The probe of")
def test_what_no_probe_can_learn_is_refused_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = embeddings(tmp_path / "e.zarr")
    obs = read_embeddings(path).obs
    rows = obs[["experiment", "fov", "track_id"]].drop_duplicates().assign(same="one")
    rows["a, b"] = np.where(
        (rows["experiment"] == "e0") & (rows["fov"] == "A/1/0"), "x", "y"
    )  # one well alone
    rows.to_csv(tmp_path / "lasso.csv", index=False)
    given = ["evaluate", str(path), "--annotations", str(tmp_path / "lasso.csv"), "--labels"]
    keep = ["--save-probe", str(tmp_path / "p.json")]

    assert main([*given, "same", *keep]) == 1
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == (
        "",
        "error: label='same': cells have only one; a probe tells two classes apart.\n",
    )

    assert main([*given, "a, b"]) == 1
    assert "A name with commas is put in double quotes: '\"a, b\"'" in capsys.readouterr().err

    assert main([*given, '"a, b"', *keep]) == 0
    said = capsys.readouterr().err
    assert "'a, b' is fitted and kept, but nothing can say how good it is" in said
    assert read_probe(tmp_path / "p.json").label == "a, b"
