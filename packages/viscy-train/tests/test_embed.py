import json
import shutil
import subprocess
import sys
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
import zarr
from torch import Tensor, nn

from viscy_data import claimed
from viscy_data.dataset.anchor_dataset import AnchorDataset, Pairing, Reading
from viscy_data.errors import InvalidInputError, StoreError
from viscy_data.indexing.run import build_index
from viscy_data.synthetic.writing import synthesize
from viscy_data.tables.tau import TauRange
from viscy_train import embed as embed_module
from viscy_train.embed import anchors_digest, embed
from viscy_train.evaluation import read_embeddings
from viscy_train.packed import model_digest


class Mean(nn.Module):
    """Two simple functions of a patch, which a test can compute again."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.noise = nn.Dropout(0.5)

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        means = self.noise(patches.mean(dim=(2, 3, 4)) * self.scale)
        return means, torch.cat([means, -means, means], dim=1)


@pytest.fixture(scope="module")
def anchors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("embed")
    experiments = synthesize(
        folder / "data", experiments=2, wells=2, fovs=1, frames=3, cells=4, size=96, progress=False
    )
    content = yaml.safe_load(experiments.read_text())
    wells = content["experiments"][0]["condition_wells"].values()
    first, second = sorted(well for of_condition in wells for well in of_condition)
    table = f"well,drug,dose_um\n{first},DMSO,\n{second},taxol,0.5\n"
    (folder / "data" / "wells.csv").write_text(table)
    content["experiments"][0] |= {"columns": {"plate_number": 3, "note": None}, "well_columns": "wells.csv"}
    experiments.write_text(yaml.safe_dump(content))
    tau = TauRange(hours=(0.5, 1.0))
    build_index(experiments, folder / "anchors.parquet", patch_size=(32, 32), tau=tau, progress=False)
    return folder / "anchors.parquet"


@pytest.fixture
def dataset(anchors: Path) -> AnchorDataset:
    return AnchorDataset(anchors, positive="self")


def expected(dataset: AnchorDataset) -> np.ndarray:
    patches = dataset.__getitems__(range(len(dataset)))["anchor"]
    means: np.ndarray = 2 * patches.mean(dim=(2, 3, 4)).numpy()
    return means


@pytest.mark.filterwarnings("ignore:The 'future.infer_string' option:DeprecationWarning")
def test_anndata_reads_back_every_row_in_the_order_of_the_table(
    dataset: AnchorDataset, tmp_path: Path
) -> None:
    out = embed(Mean(), dataset, tmp_path / "embeddings.zarr", batch_size=5, progress=False)
    data = anndata.read_zarr(out)
    means, projections = np.asarray(data.X), np.asarray(data.obsm["X_projection"])
    assert {str(means.dtype), str(projections.dtype)} == {"float32"}
    assert np.allclose(means, expected(dataset), atol=1e-6)
    assert np.allclose(projections, np.concatenate([means, -means, means], axis=1), atol=1e-6)
    assert data.obs_names.is_unique
    assert data.obs_names[3] == f"{dataset.anchors['global_track_id'].iloc[3]}/{dataset.anchors['t'].iloc[3]}"
    for name in dataset.anchors:
        found, asked = (one[name].astype(object) for one in (data.obs, dataset.anchors))
        assert found.where(found.notna(), None).tolist() == asked.where(asked.notna(), None).tolist(), name
    assert {"plate_number", "note", "drug", "dose_um"} <= set(data.obs)
    assert set(data.obs["drug"].cat.categories) == {"DMSO", "taxol"}


def test_obs_says_which_patches_reach_beyond_their_image(dataset: AnchorDataset, tmp_path: Path) -> None:
    kept = read_embeddings(embed(Mean(), dataset, tmp_path / "e.zarr", progress=False)).obs
    outside = kept["outside"].to_numpy()
    np.testing.assert_array_equal(outside, dataset.anchors["outside"])
    assert 0 < (outside > 0).sum() < len(outside)
    places = kept[["y", "x"]].to_numpy()
    to_border = np.minimum(places, 95 - places).min(axis=1)
    assert to_border[outside > 0].max() <= to_border[outside == 0].min() + 1


def test_chunks_change_nothing(
    dataset: AnchorDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = read_embeddings(embed(Mean(), dataset, tmp_path / "whole.zarr", progress=False))
    monkeypatch.setattr(embed_module, "_ROWS_PER_CHUNK", 7)
    out = embed(Mean(), dataset, tmp_path / "parts.zarr", batch_size=4, progress=False)
    assert zarr.open_array(out / "X").chunks == (7, 2)
    assert np.allclose(read_embeddings(out).embedding, whole.embedding, atol=1e-6)


def test_provenance_names_config_weights_and_table(dataset: AnchorDataset, tmp_path: Path) -> None:
    model = Mean()
    out = embed(model, dataset, tmp_path / "e.zarr", config={"seed": 3}, progress=False)
    kept = read_embeddings(out).provenance["viscy_train"]
    assert json.loads(kept["config"]) == {"seed": 3}
    assert kept["model_digest"] == model_digest(model)
    assert kept["anchors_digest"] == anchors_digest(dataset.anchors)
    assert (kept["anchors"], kept["folder"]) == (str(dataset.path), str(tmp_path))
    with torch.no_grad():
        model.scale.add_(1)
    assert model_digest(model) != kept["model_digest"]
    assert anchors_digest(dataset.anchors.iloc[::-1]) != kept["anchors_digest"]


def test_an_existing_file_stays_unless_it_is_to_be_overwritten(
    dataset: AnchorDataset, tmp_path: Path
) -> None:
    out = embed(Mean(), dataset, tmp_path / "e.zarr", config={"run": 1}, progress=False)
    with pytest.raises(InvalidInputError, match=r"e\.zarr' exists"):
        embed(Mean(), dataset, out, config={"run": 2}, progress=False)
    assert json.loads(read_embeddings(out).provenance["viscy_train"]["config"]) == {"run": 1}
    embed(Mean(), dataset, out, config={"run": 2}, overwrite=True, progress=False)
    assert json.loads(read_embeddings(out).provenance["viscy_train"]["config"]) == {"run": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["e.zarr"]


def test_a_run_that_fails_leaves_no_file_of_that_name(
    dataset: AnchorDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embed_module, "_write_chunk", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        embed(Mean(), dataset, tmp_path / "e.zarr", progress=False)
    assert not (tmp_path / "e.zarr").exists()
    monkeypatch.undo()
    embed(Mean(), dataset, tmp_path / "e.zarr", progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["e.zarr"]


def test_a_folder_that_embed_did_not_write_is_left_alone(dataset: AnchorDataset, tmp_path: Path) -> None:
    for name in ("thesis", "e.zarr.part", ".e.zarr.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "chapter").write_text("1")
    with pytest.raises(InvalidInputError, match="bears no mark"):
        embed(Mean(), dataset, tmp_path / "thesis", overwrite=True, progress=False)
    with pytest.raises(InvalidInputError, match="is what the command reads"):
        embed(Mean(), dataset, tmp_path, overwrite=True, inputs=[tmp_path / "thesis"], progress=False)
    embed(Mean(), dataset, tmp_path / "e.zarr", progress=False)
    assert len(list(tmp_path.rglob("chapter"))) == 3


def test_two_processes_do_not_write_one_file(dataset: AnchorDataset, tmp_path: Path) -> None:
    out = tmp_path / "e.zarr"
    with claimed(out, kind="folder"), pytest.raises(InvalidInputError, match="is being written by process"):
        embed(Mean(), dataset, out, progress=False)
    assert list(tmp_path.iterdir()) == []


FULL = """
import resource, signal, sys
from importlib.util import module_from_spec, spec_from_file_location
from viscy_data.dataset.anchor_dataset import AnchorDataset
from viscy_data.errors import OutputError
from viscy_train.embed import embed

anchors, out, tests = sys.argv[1:]
spec = spec_from_file_location("tests", tests)
module = module_from_spec(spec)
spec.loader.exec_module(module)
dataset = AnchorDataset(anchors, positive="self")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (300, resource.RLIM_INFINITY))
try:
    embed(module.Mean(), dataset, out, overwrite=True, progress=False)
except OutputError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of file sizes")
def test_on_a_full_disk_the_older_file_stays(anchors: Path, dataset: AnchorDataset, tmp_path: Path) -> None:
    out = embed(Mean(), dataset, tmp_path / "e.zarr", progress=False)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    given = [str(path) for path in (anchors, out, __file__)]
    done = subprocess.run([sys.executable, "-c", FULL, *given], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "e.zarr' cannot be written: File too large" in done.stdout
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_training_mode_comes_back(dataset: AnchorDataset, tmp_path: Path) -> None:
    model = Mean().train()
    embed(model, dataset, tmp_path / "e.zarr", progress=False)
    assert model.training


def test_rows_are_those_that_a_dataset_of_pairs_reads(anchors: Path, tmp_path: Path) -> None:
    """From movie to embedding and back: the row of an embedding reads the pixels that it was made of."""
    pairs = AnchorDataset(anchors, pairing=Pairing(tau=TauRange(frames=(1, 1))))
    assert len(pairs) < len(pairs.anchors), "some cells have no positive"
    kept = read_embeddings(embed(Mean(), pairs, tmp_path / "e.zarr", batch_size=5, progress=False))
    assert kept.obs["row"].tolist() == list(range(len(pairs.anchors)))
    shuffled = kept.obs.sample(frac=1.0, random_state=0)
    means = 2 * pairs.read(shuffled["row"].to_numpy()).mean(dim=(2, 3, 4)).numpy()
    assert np.allclose(means, kept.embedding[shuffled["row"]], atol=1e-6)
    for row in (0, len(kept.obs) - 1):
        assert pairs.anchors["global_track_id"].iloc[row] == kept.obs["global_track_id"].iloc[row]
    batch = pairs.__getitems__([0, len(pairs) - 1])
    means = 2 * batch["anchor"].mean(dim=(2, 3, 4)).numpy()
    assert np.allclose(means, kept.embedding[batch["rows"]], atol=1e-6)


class Broken(Mean):
    """Gives no number where the first channel's mean is above a limit."""

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        embedding, projection = super().forward(patches)
        embedding[embedding[:, 0] > 0] = torch.nan
        return embedding, projection


def test_embeddings_that_are_not_finite_are_refused_or_counted(anchors: Path, tmp_path: Path) -> None:
    out = tmp_path / "e.zarr"
    with pytest.raises(
        InvalidInputError, match=r"of \d+ cells are not finite, the first of row=\d+, '.*' at t="
    ):
        embed(Broken(), AnchorDataset(anchors, positive="self"), out, progress=False)
    assert not list(tmp_path.iterdir())
    skipping = AnchorDataset(anchors, positive="self", reading=Reading(on_error="skip"))
    lost = expected(skipping)[:, 0] > 0
    assert 0 < lost.sum() < len(lost)
    with pytest.warns(
        UserWarning, match=rf"{lost.sum()} of {len(lost)} cells could not be read or have no fin"
    ):
        embed(Broken(), skipping, out, batch_size=7, progress=False)
    kept = read_embeddings(out)
    assert np.isnan(kept.embedding[lost]).all()
    assert np.isnan(kept.projection[lost]).all()
    assert np.isfinite(kept.embedding[~lost]).all()
    assert kept.provenance["viscy_train"]["rows_not_finite"] == str(lost.sum())


def test_cells_that_cannot_be_read_are_refused_or_counted(
    anchors: Path, dataset: AnchorDataset, tmp_path: Path
) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(anchors.parent, moved)
    chunks = [one for one in (moved / "data").rglob("c/1/**/*") if one.is_file()]
    assert chunks
    for one in chunks:
        one.write_bytes(b"broken")
    out = tmp_path / "e.zarr"
    with pytest.raises(StoreError, match="t=1"):
        embed(Mean(), AnchorDataset(moved / anchors.name), out, progress=False)
    assert not out.exists()
    skipping = AnchorDataset(moved / anchors.name, reading=Reading(on_error="skip"))
    lost = (skipping.anchors["t"] == 1).to_numpy()
    with pytest.warns(UserWarning, match=f"{lost.sum()} of {len(lost)} cells could not be read"):
        embed(Mean(), skipping, out, progress=False)
    kept = read_embeddings(out).embedding
    assert (np.isnan(kept).any(axis=1) == lost).all()
    assert np.allclose(kept[~lost], expected(dataset)[~lost], atol=1e-6)


def test_weights_that_are_not_finite_are_refused(dataset: AnchorDataset, tmp_path: Path) -> None:
    model = Mean()
    with torch.no_grad():
        model.scale.fill_(torch.nan)
    with pytest.raises(InvalidInputError, match="the weights 'scale' hold numbers that are not finite"):
        embed(model, dataset, tmp_path / "e.zarr", progress=False)


def test_batch_size_below_one_is_refused(dataset: AnchorDataset, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="batch_size=0"):
        embed(Mean(), dataset, tmp_path / "e.zarr", batch_size=0, progress=False)


RANK = """
import sys
from importlib.util import module_from_spec, spec_from_file_location
from torch import distributed as dist
from viscy_data.dataset.anchor_dataset import AnchorDataset
from viscy_train.embed import embed

rank, anchors, out, meeting, tests = sys.argv[1:]
spec = spec_from_file_location("tests", tests)
module = module_from_spec(spec)
spec.loader.exec_module(module)
dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=int(rank), world_size=2)
embed(module.Mean(), AnchorDataset(anchors, positive="self"), out, batch_size=4, progress=False)
dist.destroy_process_group()
"""


def test_two_ranks_write_what_one_writes(anchors: Path, dataset: AnchorDataset, tmp_path: Path) -> None:
    out = tmp_path / "ranks.zarr"
    given = [str(path) for path in (anchors, out, tmp_path / "meeting", __file__)]
    ranks = [subprocess.Popen([sys.executable, "-c", RANK, str(rank), *given]) for rank in range(2)]
    assert [rank.wait(timeout=300) for rank in ranks] == [0, 0]
    one = read_embeddings(embed(Mean(), dataset, tmp_path / "one.zarr", progress=False))
    two = read_embeddings(out)
    assert np.allclose(two.embedding, one.embedding, atol=1e-6)
    assert np.allclose(two.projection, one.projection, atol=1e-6)
    pd.testing.assert_frame_equal(two.obs, one.obs)
