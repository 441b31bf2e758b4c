import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from viscy_data.errors import InvalidInputError
from viscy_train.demo import DemoResult, run_demo, side_by_side
from viscy_train.demo.comparison import COMPOSED, RANDOM, RAW
from viscy_train.evaluation import Metric, NotAvailable, read_embeddings

SHARED = Path(__file__).resolve().parents[5] / "shared" / "data" / "movies"

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec.. is deprecated"),
]


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> DemoResult:
    return run_demo(out=tmp_path_factory.mktemp("demo") / "out", smallest=True, progress=False)


def test_nothing_given_ends_in_a_report_with_both_controls(synthetic: DemoResult) -> None:
    assert list(synthetic.comparison.evaluations) == [COMPOSED, RANDOM, RAW]
    assert synthetic.verdict.holds is None
    assert "Trained for 6 steps only" in synthetic.verdict.text
    text = synthetic.report.read_text(encoding="utf-8")
    assert synthetic.verdict.text[:40] in text
    assert text.count("data:image/png;base64,") > 3  # three pictures, and patches of cells
    assert text.count("<svg") > 2
    assert "Each encoder was trained once" in text
    assert "Which embedding is better" in text
    assert "DemoSettings(seed=0" in text


def test_what_the_report_says_is_kept_as_data(synthetic: DemoResult) -> None:
    folder = synthetic.report.parent
    found = json.loads((folder / "demo.json").read_text())
    assert found["verdict"]["text"] == synthetic.verdict.text
    assert set(found["metrics"]) == {COMPOSED, RANDOM, RAW}
    for name in ("composed", "random", "raw"):
        embedding = read_embeddings(folder / f"{name}.zarr")
        assert len(embedding.embedding) == len(synthetic.comparison.obs)
        assert (folder / f"{name}.ckpt").is_file() == (name != "raw")


def test_all_three_embeddings_are_of_the_same_cells_and_as_wide(synthetic: DemoResult) -> None:
    shapes = {array.shape for array in synthetic.comparison.embeddings.values()}
    assert len(shapes) == 1
    assert shapes.pop()[0] == len(synthetic.comparison.obs)


def test_the_same_seed_finds_the_same_numbers_when_both_are_trained_at_once(
    synthetic: DemoResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(side_by_side, "_FEWEST_STEPS", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    again = run_demo(out=tmp_path / "again", smallest=True, progress=False)
    for name, array in synthetic.comparison.embeddings.items():
        assert np.allclose(array, again.comparison.embeddings[name], atol=1e-4), name


def test_data_that_states_no_condition_is_measured_without(synthetic: DemoResult, tmp_path: Path) -> None:
    given = synthetic.report.parent / "data" / "experiments.yaml"
    content = yaml.safe_load(given.read_text())
    content["experiments"][0]["condition_wells"] = None
    content["experiments"][1]["interval_minutes"] = None
    changed = given.with_name("unknown.yaml")
    changed.write_text(yaml.safe_dump(content))
    result = run_demo(data=changed, out=tmp_path / "out", smallest=True, progress=False)
    assert result.verdict.holds is None
    text = result.report.read_text(encoding="utf-8")
    assert "No condition is stated for synthetic_1: balance is off" in text
    assert "no interval: synthetic_2" in text
    assert "focus is off" in text
    assert "A positive is 1 to 2 frames away" in text


def test_a_folder_that_no_demo_wrote_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(InvalidInputError, match="is not empty and no demo wrote it"):
        run_demo(out=tmp_path, smallest=True, progress=False)


def test_data_and_movies_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="give one of them"):
        run_demo(data="a.yaml", movies=["b"], out=tmp_path / "out", smallest=True, progress=False)


@pytest.mark.skipif(
    not SHARED.is_dir(), reason="the real movies are not beside the repository: shared/data/movies"
)
@pytest.mark.parametrize(
    "names", [("ktr_celltk", "ktr_covertrack_a", "fucci_hacat"), ("phase_t98g", "qpi_mda231")]
)
def test_real_movies_end_in_a_report_that_says_what_is_not_known(
    names: tuple[str, ...], tmp_path: Path
) -> None:
    result = run_demo(
        movies=[SHARED / name for name in names], out=tmp_path / "out", smallest=True, progress=False
    )
    assert result.verdict.holds is None
    evaluation = result.comparison.evaluations[COMPOSED]
    assert isinstance(evaluation["condition_left_out/auroc"], NotAvailable)
    for name in ("experiment_leakage/auroc", "experiment_mixing", "smoothness", "retrieval/next_frame"):
        assert isinstance(evaluation[name], Metric), name
    text = result.report.read_text(encoding="utf-8")
    assert "No condition is stated for" in text
    assert "focus is off" in text


def test_a_demo_writes_nothing_inside_a_movie(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    with pytest.raises(InvalidInputError, match="lies inside"):
        run_demo(movies=[tmp_path / "m"], out=tmp_path / "m" / "new")
    assert not list((tmp_path / "m").iterdir())
