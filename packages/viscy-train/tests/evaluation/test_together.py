import json
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from viscy_data.errors import InvalidInputError
from viscy_train.cli.app import main
from viscy_train.evaluation import Metric, Resampling, Together, evaluate_together
from viscy_train.evaluation.reading import quiet_anndata
from viscy_train.evaluation.together import names_of

FEW = Resampling(shuffled_cells=100)


def table(experiments: str = "ab", frames: int = 2) -> pd.DataFrame:
    """Return cells of four wells of each experiment, two of each condition, six cells in a well."""
    rows = [
        (one, f"A/{well}", f"A/{well}/0", t, f"{one}/A/{well}/0/{cell}", "treated" if well % 2 else "control")
        for one in experiments
        for well in range(4)
        for cell in range(6)
        for t in range(frames)
    ]
    names = ["experiment", "well", "fov", "t", "global_track_id", "condition"]
    obs = pd.DataFrame(rows, columns=names).astype(dict.fromkeys(set(names) - {"t"}, object))
    obs["lineage_id"] = obs["global_track_id"]
    obs["hours_post_infection"] = obs["t"].astype(float)
    return obs.set_index(pd.Index(obs["global_track_id"] + "/" + obs["t"].astype(str), dtype=object))


def write(path: Path, obs: pd.DataFrame, far: float) -> Path:
    rng = np.random.default_rng(len(path.stem))
    array = rng.normal(size=(len(obs), 3))
    array[:, 0] += far * (obs["condition"] == "treated").to_numpy()
    with quiet_anndata():
        anndata.AnnData(X=array.astype(np.float32), obs=obs).write_zarr(path)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("together")
    obs = table()
    return {
        "good": write(folder / "good.zarr", obs, 6.0),
        "poor": write(folder / "poor.zarr", obs.iloc[::-1], 0.0),
        "part": write(folder / "part.zarr", obs.iloc[:60], 6.0),
        "best": write(folder / "best.zarr", obs, 9.0),
        "others": write(folder / "others.zarr", table("cd"), 6.0),
        "changed": write(
            folder / "changed.zarr", obs.assign(condition=obs["condition"].to_numpy()[::-1].copy()), 6.0
        ),
    }


@pytest.fixture(scope="module")
def two(files: dict[str, Path]) -> Together:
    return evaluate_together([files["good"], files["poor"]], resampling=FEW)


def test_the_same_cells_in_another_order_are_compared(two: Together) -> None:
    assert two.same_cells
    found = {one.definition.name: one for one in two.differences}
    told = found["condition_left_out/auroc"]
    assert (told.better, told.first, told.second) == ("good", "good", "poor")
    outcomes = [one["condition_left_out/auroc"] for one in two.evaluations.values()]
    values = [one.value for one in outcomes if isinstance(one, Metric)]
    assert told.value == pytest.approx(values[0] - values[1])


def test_files_of_different_tables_are_refused(files: dict[str, Path]) -> None:
    with pytest.raises(
        InvalidInputError, match="are of different tables: 60 cells are in both, of 96 and 60"
    ):
        evaluate_together([files["good"], files["part"]])
    with pytest.raises(InvalidInputError, match="others share none"):
        evaluate_together([files["good"], files["poor"], files["others"]])


def test_files_that_share_no_cell_have_no_difference(files: dict[str, Path]) -> None:
    found = evaluate_together([files["good"], files["others"]], resampling=FEW)
    assert not found.same_cells
    assert found.differences == ()
    assert list(found.evaluations) == ["good", "others"]


def test_files_that_say_different_things_of_a_cell_are_refused(files: dict[str, Path]) -> None:
    with pytest.raises(InvalidInputError, match="column 'condition' says 'treated' of the cell"):
        evaluate_together([files["good"], files["changed"]])


def test_numbers_that_are_asked_for_are_compared_too(tmp_path: Path) -> None:
    doses = np.random.default_rng(0).permuted(np.repeat([0.1, 0.2], 48)).astype(np.float32)
    paths = []
    for name, values in (("first", doses), ("second", doses[::-1])):
        paths.append(write(tmp_path / f"{name}.zarr", table().assign(dose=values), 0.0))
    assert evaluate_together(paths).same_cells
    with pytest.raises(InvalidInputError, match="column 'dose' says"):
        evaluate_together(paths, labels="dose")


def test_names_tell_files_apart() -> None:
    assert names_of(["a.zarr"]) == ["a"]
    assert names_of(["x/a.zarr", "y/a.zarr", "y/b.zarr"]) == ["x/a", "y/a", "y/b"]
    with pytest.raises(InvalidInputError, match="named twice"):
        names_of(["x/a.zarr", "x/../x/a.zarr"])


def test_a_link_has_a_name_of_its_own_and_is_the_same_file(tmp_path: Path) -> None:
    (tmp_path / "latest.zarr").symlink_to(tmp_path / "run_3.zarr")
    assert names_of([tmp_path / "latest.zarr", tmp_path / "run_2.zarr"]) == ["latest", "run_2"]
    with pytest.raises(InvalidInputError, match="named twice"):
        names_of([tmp_path / "latest.zarr", tmp_path / "run_3.zarr"])


def test_the_command_writes_one_page_and_one_table_of_both(
    files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, out = tmp_path / "page.html", tmp_path / "out.json"
    given = ["evaluate", str(files["good"]), str(files["poor"]), "--html", str(page), "-o", str(out)]
    assert main(given) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "good is better than poor by" in said
    text = page.read_text(encoding="utf-8")
    assert "Can control be told from treated?" in text
    assert "good is better than poor by" in text
    found = json.loads(out.read_text())
    assert list(found["embeddings"]) == ["good", "poor"]
    assert found["differences"]


def test_the_command_puts_floor_and_ceiling_of_the_same_cells_beside_each_number(
    files: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The floor's rows lie in another order; at 80 columns each heading and number is in one piece."""
    monkeypatch.setenv("COLUMNS", "80")
    page, out = tmp_path / "page.html", tmp_path / "out.json"
    given = ["evaluate", str(files["good"]), "--floor", str(files["poor"]), "--ceiling", str(files["best"])]
    given += ["--controls", "condition=control"]
    assert main([*given, "--html", str(page), "-o", str(out)]) == 0
    said = capsys.readouterr().out
    found = json.loads(out.read_text())
    assert (found["floor"], found["ceiling"]) == ("poor", "best")
    told = {one["name"]: one for one in found["metrics"]}["condition_left_out/auroc"]
    assert told["floor"] < told["value"] <= told["ceiling"]
    for piece in ("95 % interval", "corrected", f"{told['floor']:.3f}", f"{told['ceiling']:.3f}"):
        assert piece in said
    assert "…" not in said
    # a path may be long
    assert max(len(line) for line in said.splitlines() if not line.startswith("wrote ")) <= 80
    text = page.read_text(encoding="utf-8")
    assert f"to beat {told['floor']:.2f}" in text
    assert f"best possible {told['ceiling']:.2f}" in text


@pytest.mark.parametrize(
    ("role", "other", "reason"),
    [
        ("floor", "part", "60 of its 60 are among the 96"),
        ("ceiling", "others", "0 of its 96 are among the 96"),
    ],
)
def test_limits_of_other_cells_are_refused(
    files: dict[str, Path], role: str, other: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(files["good"]), f"--{role}", str(files[other])]) == 1
    assert reason in " ".join(capsys.readouterr().err.split())


def test_one_file_is_not_both_limits(files: dict[str, Path]) -> None:
    with pytest.raises(InvalidInputError, match="is the floor as well"):
        evaluate_together([files["good"]], floor=files["poor"], ceiling=files["poor"])
