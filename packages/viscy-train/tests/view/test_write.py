"""From embeddings to a page, without a browser."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import anndata
import pandas as pd
import pytest
from views import embedded, index, write_experiments

from viscy_data.errors import InvalidInputError
from viscy_data.pages.page import Gallery
from viscy_train.cli.app import main
from viscy_train.evaluation.reading import quiet_anndata, read_embeddings
from viscy_train.view.galleries import galleries, open_patched
from viscy_train.view.write import Written, view_embeddings


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with anchors.parquet and embeddings.zarr."""
    folder = tmp_path_factory.mktemp("view")
    index(write_experiments(folder), folder / "anchors.parquet")
    embedded(folder / "anchors.parquet", folder / "embeddings.zarr")
    return folder


def write(made: Path, out: Path, **options: Any) -> tuple[Written, dict[str, Any], str]:
    chosen: dict[str, Any] = {"kind": "pca", "progress": False} | options
    written = view_embeddings(made / "embeddings.zarr", out, **chosen)
    text = out.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text)
    assert found is not None
    return written, json.loads(found[1]), text


def rewritten(made: Path, out: Path, obs: pd.DataFrame) -> None:
    """Write some rows of the file anew, as a program does that knows AnnData and nothing of us."""
    file = read_embeddings(made / "embeddings.zarr")
    with quiet_anndata():
        rows = file.embedding[obs["row"]]
        anndata.AnnData(rows, obs, uns=file.provenance, layers={"turned": rows[:, ::-1]}).write_zarr(out)


def test_a_page_holds_every_cell_and_its_patch(made: Path, tmp_path: Path) -> None:
    written, data, text = write(made, tmp_path / "view.html")
    assert (written.cells, written.of_cells, written.no_patches) == (data["cells"], data["cells"], "")
    assert written.bytes == (tmp_path / "view.html").stat().st_size
    assert data["pictures"]["channels"] == ["Phase3D", "RFP"]
    assert data["pictures"]["side"] == 40
    assert text.count('id="sheet-') == 2
    assert [one["name"] for one in data["keys"]] == ["experiment", "fov", "source_id", "t"]
    view_embeddings(made / "embeddings.zarr", tmp_path / "view.html", kind="pca", progress=False)
    assert (tmp_path / "view.html").read_text(encoding="utf-8") == text, (
        "a page may be written again, the same"
    )


def test_of_many_cells_whole_lineages_are_drawn(made: Path, tmp_path: Path) -> None:
    written, data, text = write(made, tmp_path / "view.html", max_cells=30, patches=False)
    assert written.cells <= 30 < written.of_cells
    assert f"{written.of_cells - written.cells:,} cells are left out: whole lineages were drawn" in text
    assert "There are no patches: they were not asked for" in text
    assert data["pictures"] is None


def test_a_table_of_other_cells_is_refused(made: Path, tmp_path: Path) -> None:
    moved = read_embeddings(made / "embeddings.zarr").obs
    rewritten(made, tmp_path / "other.zarr", moved.assign(y=moved["y"] + 3))
    with pytest.raises(InvalidInputError, match="is not the table that the embeddings are of"):
        view_embeddings(tmp_path / "other.zarr", tmp_path / "view.html", progress=False)
    assert not (tmp_path / "view.html").exists()


def test_a_file_that_was_cut_and_sorted_elsewhere_still_finds_its_patches(made: Path, tmp_path: Path) -> None:
    cells = read_embeddings(made / "embeddings.zarr").obs
    rewritten(made, tmp_path / "cut.zarr", cells.iloc[::-2])
    written = view_embeddings(tmp_path / "cut.zarr", tmp_path / "view.html", kind="pca", progress=False)
    assert written.no_patches == ""
    assert written.cells == -(-len(cells) // 2)


def test_a_layer_is_shown_by_its_name(made: Path, tmp_path: Path) -> None:
    rewritten(made, tmp_path / "e.zarr", read_embeddings(made / "embeddings.zarr").obs)
    options: dict[str, Any] = {"kind": "pca", "patches": False, "progress": False}
    view_embeddings(tmp_path / "e.zarr", tmp_path / "view.html", layer="turned", **options)
    assert "<h1>e.zarr, turned: " in (tmp_path / "view.html").read_text(encoding="utf-8")
    with pytest.raises(InvalidInputError, match="layer='corrected' is not a layer of"):
        view_embeddings(tmp_path / "e.zarr", tmp_path / "view.html", layer="corrected", **options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--max-cells 50001", "error: max_cells=50001: 2 to 50,000 are needed"),
        ("--side 8", "error: side=8: 16 to 128 pixels are needed"),
        ("--anchors {0}/no.parquet", "error: anchors='{0}/no.parquet': there is no such file"),
        ("--map umap", ""),
    ],
)
def test_the_command_refuses_in_a_sentence(
    made: Path, tmp_path: Path, options: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if not said:
        pytest.importorskip("umap")
    command = f"view {made}/embeddings.zarr -o {tmp_path}/view.html {options.format(made)}".split()
    assert main(command) == (1 if said else 0)
    assert capsys.readouterr().err.startswith(said.format(made))


def test_the_command_ends_with_a_sentence(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(made / "embeddings.zarr", tmp_path / "embeddings.zarr")
    assert (
        main(f"view {tmp_path}/embeddings.zarr -o {tmp_path}/view.html --map pca --no-patches".split()) == 0
    )
    said = capsys.readouterr().out
    assert re.fullmatch(
        r"wrote \S+view\.html \(\d+ cells, [\d.]+ MB, without patches: they were not asked for: "
        r"--no-patches\); open it in a browser\n",
        said,
    )


def test_an_evaluation_shows_cells_of_the_table_that_was_embedded(made: Path, tmp_path: Path) -> None:
    section = galleries(open_patched(made / "embeddings.zarr"), "condition")
    tiles = [tile for block in section.blocks if isinstance(block, Gallery) for tile in block.tiles]
    assert tiles
    assert all(tile.png.startswith(b"\x89PNG") and "not be read" not in tile.caption for tile in tiles)
    obs = read_embeddings(made / "embeddings.zarr").obs
    rewritten(made, tmp_path / "moved.zarr", obs.assign(x=obs["x"] + 3))
    with pytest.raises(InvalidInputError, match=r"is not the table that the embeddings are of"):
        open_patched(tmp_path / "moved.zarr", anchors=made / "anchors.parquet")
