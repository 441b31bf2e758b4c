"""What napari is given, through its plugin engine and without a window."""

import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
import zarr
from torch import Tensor, nn

from viscy_data import (
    AnchorDataset,
    InvalidInputError,
    build_index,
    read_anchors,
    read_statistics,
    synthesize,
)
from viscy_data.images.plates import create_plate
from viscy_data.tables.tau import TauRange
from viscy_train.embed import embed
from viscy_train.evaluation.reading import quiet_anndata, read_embeddings
from viscy_train.napari_reader.fields import components, one_row_per_cell, open_table
from viscy_train.napari_reader.menu import choices, show_field
from viscy_train.napari_reader.reader import get_reader

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # npe2 uses options that pydantic deprecates
    import npe2

TRACKMATE = """<?xml version="1.0" encoding="UTF-8"?>
<TrackMate version="7.11.1"><Model spatialunits="µm" timeunits="sec">
<AllSpots>
<SpotsInFrame frame="0"><Spot ID="70" name="mother" QUALITY="7.5" FRAME="0" POSITION_X="10" POSITION_Y="5"
  POSITION_Z="2" /><Spot ID="90" name="other" QUALITY="1.5" FRAME="0" POSITION_X="20" POSITION_Y="20"
  POSITION_Z="4" /></SpotsInFrame>
<SpotsInFrame frame="1"><Spot ID="71" name="a" QUALITY="6.5" FRAME="1" POSITION_X="9" POSITION_Y="5"
  POSITION_Z="2" /><Spot ID="72" name="b" QUALITY="5.5" FRAME="1" POSITION_X="12" POSITION_Y="6"
  POSITION_Z="0" /><Spot ID="91" name="other" QUALITY="2.5" FRAME="1" POSITION_X="20" POSITION_Y="21"
  POSITION_Z="4" /></SpotsInFrame>
</AllSpots><AllTracks>
<Track name="first" TRACK_ID="0"><Edge SPOT_SOURCE_ID="70" SPOT_TARGET_ID="71" />
  <Edge SPOT_SOURCE_ID="70" SPOT_TARGET_ID="72" /></Track>
<Track name="second" TRACK_ID="1"><Edge SPOT_SOURCE_ID="90" SPOT_TARGET_ID="91" /></Track>
</AllTracks><FilteredTracks><TrackID TRACK_ID="0" /><TrackID TRACK_ID="1" /></FilteredTracks></Model>
<Settings><ImageData nslices="3" pixelwidth="0.5" pixelheight="0.5" voxeldepth="2.0" /></Settings></TrackMate>
"""


class Moments(nn.Module):
    """A few numbers about a patch."""

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        of_each = patches.flatten(1)
        found = torch.stack([of_each.mean(1), of_each.std(1), of_each.amax(1), of_each.amin(1)], dim=1)
        return found, found[:, :2]


def opened(path: Path) -> tuple[dict[str, Any], list[str]]:
    """Open a file as napari does; return each layer by the end of its name, and what was said."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        layers = npe2.read([str(path)], stack=False, plugin_name="viscy-train")
    named = {str(one[1]["name"]).split(" ", 2)[2]: one for one in layers}  # type: ignore[misc]
    return named, [str(one.message) for one in caught if one.category is UserWarning]


@pytest.fixture(scope="module", autouse=True)
def manager() -> None:
    manifest = npe2.PluginManifest.from_distribution("viscy-train")
    manifest.validate_imports()
    npe2.PluginManager.instance().register(manifest, warn_disabled=False)


def small_index(folder: Path, **options: Any) -> Path:
    """Write the index of two fields of view to a folder."""
    size: dict[str, Any] = {"experiments": 1, "wells": 2, "fovs": 1, "frames": 2, "cells": 4, "size": 64}
    experiments = synthesize(folder / "data", **size, **options, progress=False)
    path = folder / "anchors.parquet"
    build_index(experiments, path, patch_size=(32, 32), tau=TauRange(frames=(1, 1)), progress=False)
    return path


@pytest.fixture(scope="module")
def embeddings(anchors_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("napari") / "embeddings.zarr"
    return embed(Moments(), AnchorDataset(anchors_path), out, progress=False)


def test_an_index_is_its_first_field_as_channels_tracks_and_cells(anchors_path: Path) -> None:
    layers, said = opened(anchors_path)
    table = read_anchors(anchors_path)
    experiment, fov = (str(table[name].iloc[0]) for name in ("experiment", "fov"))
    cells = table[(table["experiment"] == experiment) & (table["fov"] == fov)]
    fields = len(table[["experiment", "fov"]].drop_duplicates())
    others = "the others are under Plugins > viscy > Field of view."
    assert said == [
        f"{experiment} {fov} is the first of {fields} fields of view of anchors.parquet; {others}"
    ]
    assert [kind for _, _, kind in layers.values()] == ["image", "image", "tracks", "points"]

    stored = zarr.open_array(anchors_path.parent / "data" / experiment / "plate.zarr" / fov / "0", mode="r")
    statistics = read_statistics(anchors_path.with_name("anchors.statistics.parquet"))
    for place, name in enumerate(("Phase3D", "RFP")):
        pixels, options, _ = layers[name]
        assert np.array_equal(pixels[3], stored[3, place, 0]), "a frame, read when it is asked for"
        assert pixels.shape == (5, 96, 96)
        row = statistics.query(
            "level == 'field' and experiment == @experiment and fov == @fov and channel == @name"
        )
        assert options["contrast_limits"] == tuple(row[["p0.5", "p99.9"]].to_numpy()[0])

    places, options, _ = layers["cells"]
    assert np.array_equal(places, cells[["t", "y", "x"]].to_numpy())
    pd.testing.assert_frame_equal(
        options["features"], cells.reset_index(drop=True), check_categorical=False, check_dtype=False
    )
    assert {one[1]["scale"] for one in layers.values()} == {(1.0, 0.65, 0.65)}
    assert {one[1]["units"] for one in layers.values()} == {("pixel", "um", "um")}


def test_tracks_are_in_order_and_know_their_divisions(anchors_path: Path) -> None:
    (data, options, _) = opened(anchors_path)[0]["tracks"]
    assert np.array_equal(data, data[np.lexsort((data[:, 1], data[:, 0]))])
    features = options["features"]
    assert features["track_id"].tolist() == data[:, 0].tolist()
    graph = {}
    for row in features.itertuples():  # the slow way: every cell says who its parent is
        if row.parent_track_id != -1:
            graph[row.track_id] = [row.parent_track_id]
    assert graph, "some cell divides"
    assert options["graph"] == graph
    assert all(np.issubdtype(kind, np.number) for kind in features.dtypes)


def test_embeddings_bring_principal_components_over_the_same_image(
    embeddings: Path, anchors_path: Path
) -> None:
    layers, _ = opened(embeddings)
    of_index, _ = opened(anchors_path)
    assert list(layers) == list(of_index)
    assert np.array_equal(layers["RFP"][0][2], of_index["RFP"][0][2])
    assert np.array_equal(layers["cells"][0], of_index["cells"][0])
    features = layers["cells"][1]["features"]
    assert set(features) - set(of_index["cells"][1]["features"]) == {"row", "PC1", "PC2", "PC3"}
    values = read_embeddings(embeddings).embedding
    centred = values - values.mean(axis=0)
    spread = np.linalg.svd(centred.astype(float), compute_uv=False)
    whole = components(values)["PC1"]
    assert np.isclose(np.square(whole).sum(), spread[0] ** 2, rtol=1e-3)
    assert np.array_equal(features["PC1"], whole[features["row"]])


def test_rows_that_are_not_finite_have_no_component_and_the_others_do() -> None:
    values = np.random.default_rng(0).normal(size=(30, 5)).astype(np.float32)
    values[4, 2] = np.nan
    found = components(values)
    assert [list(np.flatnonzero(np.isnan(one))) for one in found.values()] == [[4]] * 3
    assert components(values[3:5]) == components(values[:0]) == {}
    assert list(components(values[:, :2])) == ["PC1", "PC2"]


def test_images_are_found_where_index_and_embeddings_move_together(tmp_path: Path) -> None:
    old = tmp_path / "old"
    small_index(old)
    embed(Moments(), AnchorDataset(old / "anchors.parquet"), old / "e.zarr", progress=False)
    old.rename(tmp_path / "new")
    assert "RFP" in opened(tmp_path / "new" / "e.zarr")[0]
    shutil.rmtree(tmp_path / "new" / "data")
    layers, said = opened(tmp_path / "new" / "e.zarr")
    assert list(layers) == ["tracks", "cells"]
    assert "is shown without its images: experiment='synthetic_1': data_path=" in said[0]
    (tmp_path / "new" / "anchors.parquet").unlink()
    assert "e.zarr does not say of which index it is, or" in opened(tmp_path / "new" / "e.zarr")[1][0]


def test_a_cell_of_several_channels_is_one_point(tmp_path: Path) -> None:
    path = small_index(tmp_path, samples="channels")
    table = read_anchors(path)
    embed(Moments(), AnchorDataset(path), tmp_path / "e.zarr", progress=False)
    for one in (path, tmp_path / "e.zarr"):
        layers, _ = opened(one)
        first = table[
            table["fov"].eq(table["fov"].iloc[0]) & table["experiment"].eq(table["experiment"].iloc[0])
        ]
        cells = first.drop_duplicates(["track_id", "t"])
        assert len(first) > len(cells) == len(layers["cells"][0])
        channels = list(dict.fromkeys(first["channel"]))
        assert [name for name, of in layers.items() if of[2] == "image"] == channels
        features = layers["cells"][1]["features"]
        assert features["global_track_id"].tolist() == cells["global_track_id"].tolist()
        assert {"channel", "marker", "PC1"}.isdisjoint(features)
    rows = read_embeddings(tmp_path / "e.zarr").obs
    for channel in channels:
        assert f"PC1 [{channel}]" in features
        assert (rows["channel"].iloc[features[f"row [{channel}]"]] == channel).all()


def test_channels_that_some_cells_lack_leave_holes() -> None:
    rows = pd.DataFrame(
        {"track_id": [1, 1, 2], "t": 0, "channel": ["a", "b", "a"], "PC1": [1.0, 2, 3], "y": 4}
    )
    found = one_row_per_cell(rows)
    assert found.drop(columns="PC1 [b]").to_dict("list") == {
        "track_id": [1, 2],
        "t": [0, 0],
        "y": [4, 4],
        "PC1 [a]": [1, 3],
    }
    assert found["PC1 [b]"].fillna(-1).tolist() == [2, -1]


def test_a_stack_tracked_in_trackmate_keeps_slices_ids_and_own_columns(tmp_path: Path) -> None:
    images = create_plate(
        tmp_path / "plate.zarr", {"A/1/0": (2, 1, 3, 64, 64)}, channels=["GFP"], dtype="uint16",
        pixel_size_um=0.5, z_step_um=2.0, interval_minutes=10,
    )  # fmt: skip
    images["A/1/0"][:] = np.arange(2 * 3 * 64 * 64, dtype=np.uint16).reshape(2, 1, 3, 64, 64)
    (tmp_path / "tracks.xml").write_text(TRACKMATE, encoding="utf-8")
    entry: dict[str, Any] = {
        "name": "a",
        "data_path": "plate.zarr",
        "tracks_path": "tracks.xml",
        "channels": ["GFP"],
    }
    entry |= {"interval_minutes": 10, "start_hpi": 0, "track_columns": ["QUALITY"]}
    (tmp_path / "e.yaml").write_text(yaml.safe_dump({"experiments": [entry]}))
    path = tmp_path / "anchors.parquet"
    tau = TauRange(frames=(1, 1))
    build_index(tmp_path / "e.yaml", path, patch_size=(16, 16), tau=tau, progress=False)

    layers, said = opened(path)
    assert said == [], "there is one field of view"
    assert layers["GFP"][0].shape == (2, 3, 64, 64)
    assert layers["GFP"][1]["scale"] == (1.0, 2.0, 0.5, 0.5)
    assert layers["GFP"][1]["axis_labels"] == ("t", "z", "y", "x")
    features = layers["cells"][1]["features"].sort_values("source_id")
    assert features["source_id"].tolist() == [70, 71, 72, 90, 91]
    assert features["QUALITY"].tolist() == [7.5, 6.5, 5.5, 1.5, 2.5]
    by_id = dict(zip(layers["cells"][1]["features"]["source_id"], layers["cells"][0].tolist(), strict=True))
    assert by_id[72] == [1, 0, 12, 24]
    ids = dict(zip(features["source_id"], features["track_id"], strict=True))
    assert layers["tracks"][1]["graph"] == {ids[71]: [ids[70]], ids[72]: [ids[70]]}


def test_what_is_not_ours_is_left_to_others(tmp_path: Path, anchors_path: Path) -> None:
    pd.DataFrame({"t": [0]}).to_parquet(tmp_path / "other.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and nothing more")
    with quiet_anndata():
        anndata.AnnData(np.ones((3, 2), dtype=np.float32)).write_zarr(tmp_path / "genes.zarr")
    plate = anchors_path.parent / "data" / "synthetic_1" / "plate.zarr"
    others = [plate, tmp_path, *tmp_path.iterdir(), tmp_path / "nowhere.zarr", tmp_path / "nowhere.parquet"]
    assert [path for path in others if get_reader(str(path)) is not None] == []
    assert get_reader([]) is None
    assert get_reader([str(anchors_path), str(plate)]) is None
    assert get_reader([str(anchors_path)]) is not None


def test_a_damaged_file_is_a_sentence(anchors_path: Path, embeddings: Path, tmp_path: Path) -> None:
    whole = anchors_path.read_bytes()
    half = tmp_path / "anchors.parquet"
    half.write_bytes(whole[:4] + b"\0" * 2000 + whole[2004:])
    with pytest.raises(InvalidInputError, match="the table cannot be read"):
        npe2.read([str(half)], stack=False, plugin_name="viscy-train")
    shutil.copytree(embeddings, tmp_path / "e.zarr")
    shutil.rmtree(tmp_path / "e.zarr" / "X")
    with pytest.raises(InvalidInputError, match=r"has no array X"):
        npe2.read([str(tmp_path / "e.zarr")], stack=False, plugin_name="viscy-train")


def test_the_menu_offers_every_field_of_open_tables(anchors_path: Path, embeddings: Path) -> None:
    one, two = (opened(path)[0]["cells"][1]["metadata"] for path in (anchors_path, embeddings))
    labels = [label for label, _ in choices([one, {}, one])]
    assert labels == [f"{experiment} {fov}" for experiment, fov in open_table(anchors_path).fields]
    both = choices([one, two])
    assert [label for label, _ in both] == [
        f"{path.name} {label}" for path in (anchors_path, embeddings) for label in labels
    ]
    label, last = both[-1]
    shown = show_field(last)
    assert [f"{embeddings.name} {of[1]['name']}" for of in shown] == [
        f"{label} {end}" for end in ("Phase3D", "RFP", "tracks", "cells")
    ]
    with pytest.raises(
        InvalidInputError, match=r"field='synthetic_1/A/9/0'.* Did you mean 'synthetic_1/A/1/0'"
    ):
        show_field((str(embeddings), ("synthetic_1", "A/9/0")))


def test_asking_whether_a_file_is_ours_loads_neither_anndata_nor_torch() -> None:
    code = "import sys, viscy_train.napari_reader.reader; print({'torch', 'anndata'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
