"""Disks, permissions and processes that fail while work goes on: errors say where, no half file is left."""

import os
import resource
import shutil
import signal
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from small_project import CHANNELS, FOVS, NAME, WriteStore, chunks_of, index_project, store_of, write_project
from typer.testing import CliRunner

from viscy_data.cli.app import app
from viscy_data.dataset.anchor_dataset import AnchorDataset, Batch, Reading
from viscy_data.dataset.loader import anchor_loader
from viscy_data.errors import InvalidInputError, OutputError, StoreError, TracksError, WorkerError
from viscy_data.images.statistics import read_statistics, statistics_path
from viscy_data.sampling.sampler import FlexibleBatchSampler
from viscy_data.tables.anchors.read import read_anchors, read_metadata
from viscy_data.tables.experiments import Experiments

NOBODY = 65534
SKIP = Reading(on_error="skip")


@pytest.fixture
def experiments(tmp_path: Path, write_store: WriteStore) -> Path:
    return write_project(tmp_path / "Projekt é", write_store)


@pytest.fixture
def anchors(experiments: Path) -> Path:
    return index_project(experiments, experiments.parent / "anchors ω.parquet")


def sampler_of(dataset: AnchorDataset) -> FlexibleBatchSampler:
    return FlexibleBatchSampler(dataset.valid_anchors, batch_size=10, temporal_enrichment=True)


def epoch_of(anchors: Path, **options: Any) -> list[Batch]:
    dataset = AnchorDataset(anchors, **options)
    return list(anchor_loader(dataset, sampler_of(dataset)))


def same(one: Batch, other: Batch) -> bool:
    names = ("anchor", "positive", "rows", "positive_rows")
    return all(torch.equal(one[name], other[name]) for name in names)


def left_over(folder: Path) -> list[str]:
    """Return the Parquet files, whole or not, and whatever is hidden."""
    return sorted(path.name for path in folder.iterdir() if ".parquet" in path.name or path.name[0] == ".")


def test_names_with_spaces_and_other_letters_go_the_whole_way(experiments: Path, tmp_path: Path) -> None:
    out, page = tmp_path / "index ñ.parquet", tmp_path / "Prüfung.html"
    run = CliRunner().invoke
    indexed = run(
        app, ["index", str(experiments), "-o", str(out), "--patch-size", "8", "8", "--tau-frames", "1", "2"]
    )
    assert indexed.exit_code == 0, indexed.output
    audited = run(app, ["audit", str(out), "--batch-size", "10", "--html", str(page)])
    assert audited.exit_code == 0, audited.output
    assert "感染" in page.read_text(encoding="utf-8")
    batches = epoch_of(out)
    meta = batches[0]["anchor_meta"]
    assert set(meta["experiment"]) == {NAME}
    assert set(meta["condition"]) == {"Kontrolle, naïve", "感染"}
    assert all(str(name).startswith(f"{NAME}/") for name in meta["global_track_id"])


def test_a_folder_that_moves_keeps_its_relative_paths(
    experiments: Path, anchors: Path, tmp_path: Path
) -> None:
    before, digest = epoch_of(anchors), Experiments.load(experiments).digest()
    there = tmp_path / "elsewhere" / "deeper"
    there.parent.mkdir()
    shutil.move(experiments.parent, there)
    assert Experiments.load(there / experiments.name).digest() == digest
    moved = there / anchors.name
    assert read_metadata(moved).experiments.experiments[0].data_path == store_of(there / experiments.name)
    assert all(same(*pair) for pair in zip(before, epoch_of(moved), strict=True))
    alone = tmp_path / "alone"
    alone.mkdir()
    again = index_project(there / experiments.name, alone / "anchors.parquet")
    for file in (again, statistics_path(again)):
        shutil.move(file, tmp_path / file.name)  # the table without what it was built from
    assert all(same(*pair) for pair in zip(before, epoch_of(tmp_path / again.name), strict=True))


def harm(files: list[Path], how: str) -> None:
    for file in files:
        content = file.read_bytes()
        if how == "deleted":
            file.unlink()
        elif how == "cut in half":
            file.write_bytes(content[: len(content) // 2])
        else:
            file.write_bytes(np.random.default_rng(0).bytes(len(content)))


@pytest.mark.parametrize("how", ["deleted", "cut in half", "overwritten with noise"])
def test_a_chunk_that_breaks_is_named_or_replaced(how: str, anchors: Path, experiments: Path) -> None:
    harm(chunks_of(store_of(experiments), "A/1/0", 3), how)
    with pytest.raises(StoreError, match=r"Platte 1\.zarr' fov='A/1/0' t=3 channel='Phase 3D', 'GFP-ß'"):
        epoch_of(anchors)
    dataset = AnchorDataset(anchors, reading=SKIP)
    lost = set(dataset.anchors.query("fov == 'A/1/0' and t == 3").index)
    replaced, table = 0, dataset.valid_anchors
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for rows in sampler_of(dataset):
            batch = dataset.__getitems__(rows)
            assert not lost & {*batch["rows"].tolist(), *batch["positive_rows"].tolist()}
            for name in ("experiment", "condition"):
                assert table[name].iloc[rows].tolist() == batch["anchor_meta"][name]
            replaced += sum(
                one != other for one, other in zip(rows, batch["positions"].tolist(), strict=True)
            )
    assert dataset.skipped == replaced > 0
    assert all("anchors were replaced" in str(one.message) for one in caught)
    assert len(caught) > 0


def test_a_store_that_vanishes_and_comes_back(anchors: Path, experiments: Path) -> None:
    """The batch that failed, asked for again, is the one that it would have been."""
    expected = epoch_of(anchors)
    dataset = AnchorDataset(anchors)
    batches = list(sampler_of(dataset))
    store = store_of(experiments)
    away = store.with_name("away")

    assert same(dataset.__getitems__(batches[0]), expected[0])
    store.rename(away)
    with pytest.raises(StoreError, match=r"Platte 1\.zarr' fov=.*: the store is gone"):
        dataset.__getitems__(batches[1])
    away.rename(store)
    assert same(dataset.__getitems__(batches[1]), expected[1])


def test_a_field_that_vanishes_is_replaced_until_it_comes_back(anchors: Path, experiments: Path) -> None:
    expected = epoch_of(anchors)
    early, late = AnchorDataset(anchors, reading=SKIP), AnchorDataset(anchors, reading=SKIP)
    fov = store_of(experiments) / "A/1/1"
    away = fov.with_name("away")
    taken: list[Batch] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for number, rows in enumerate(sampler_of(early)):
            if number == 2:
                fov.rename(away)
            if number == 6:
                away.rename(fov)
            # chunks in memory need no file: what read before the field was away would still have some
            taken.append((early if number < 2 else late).__getitems__(rows))
    found = [same(*pair) for pair in zip(taken, expected, strict=True)]
    assert all(found[:2] + found[6:])
    assert not all(found[2:6])
    for batch in taken[2:6]:
        assert "A/1/1" not in batch["anchor_meta"]["fov"]
    assert late.skipped > 0


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """Give a folder that anybody can get to, unlike those of pytest."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@contextmanager
def without_privileges() -> Iterator[None]:
    """Be nobody, where this process is the superuser, whom no permission keeps out."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


def test_what_may_not_be_read_or_written_is_named(shared_folder: Path, write_store: WriteStore) -> None:
    experiments = write_project(shared_folder / "p", write_store)
    anchors = index_project(experiments, experiments.parent / "anchors.parquet")
    epoch_of(anchors)  # imports what is imported late, which nobody may read
    tracks = experiments.parent / "Daten ü" / "Spuren 1" / "A/1/0" / "tracks.csv"
    chunk = chunks_of(store_of(experiments), "A/1/0", 0)[0]

    anybodys = shared_folder / "anybody's"
    anybodys.mkdir()
    anybodys.chmod(0o777)

    def again() -> None:
        index_project(experiments, anchors, overwrite=True)

    cases: list[tuple[Path, Callable[[], object], type[Exception], str]] = [
        (
            chunk,
            lambda: epoch_of(anchors),
            StoreError,
            r"fov='A/1/0' t=0 .*",
        ),
        (
            tracks,
            lambda: index_project(experiments, anybodys / "anchors.parquet"),
            TracksError,
            r"tracks\.csv: .*",
        ),
        (anchors, lambda: read_anchors(anchors), InvalidInputError, r"anchors\.parquet.*"),
        (
            statistics_path(anchors),
            lambda: epoch_of(anchors),
            InvalidInputError,
            r"statistics.*",
        ),
        (experiments, lambda: Experiments.load(experiments), InvalidInputError, r"yaml.*"),
    ]
    for path, action, kind, match in cases:
        mode = path.stat().st_mode
        path.chmod(0)
        with without_privileges(), pytest.raises(kind, match=f"{match}[Pp]ermission denied"):
            action()
        path.chmod(mode)
    before = anchors.read_bytes()
    experiments.parent.chmod(0o555)
    with (
        without_privileges(),
        pytest.raises(OutputError, match=r"anchors\.parquet' cannot be written.*"),
    ):
        index_project(experiments, anchors, overwrite=True)
    assert anchors.read_bytes() == before
    assert left_over(anchors.parent) == ["anchors.parquet", "anchors.statistics.parquet"]


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond ``size`` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [2000, 7000])
def test_an_index_that_cannot_be_written_whole_is_not_there(
    size: int, experiments: Path, tmp_path: Path
) -> None:
    out = tmp_path / "anchors.parquet"
    with (
        files_of_at_most(size),
        pytest.raises(OutputError, match=r"anchors\.parquet.* cannot be written.*File too large"),
    ):
        index_project(experiments, out)
    assert out.name not in left_over(tmp_path)
    assert not [one for one in left_over(tmp_path) if one[0] == "."]
    index_project(experiments, out, overwrite=True)
    before = out.read_bytes()
    with files_of_at_most(size), pytest.raises(OutputError, match="cannot be written"):
        index_project(experiments, out, overwrite=True)
    assert out.read_bytes() == before


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of 16 kB, where that is allowed."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("file systems may not be mounted here")
    yield folder
    # lazily: pyarrow has the file open that it could not write, for as long as its error is kept
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_holds_no_half_index(full_disk: Path, experiments: Path) -> None:
    (full_disk / "other").write_bytes(bytes(8192))
    out = full_disk / "anchors.parquet"
    with pytest.raises(OutputError, match=r"cannot be written.*No space left on device"):
        index_project(experiments, out)
    assert [one for one in left_over(full_disk) if one != "anchors.statistics.parquet"] == []


def test_a_killed_worker_ends_the_run_in_time(anchors: Path) -> None:
    dataset = AnchorDataset(anchors)
    loader: Any = anchor_loader(dataset, sampler_of(dataset), num_workers=2, timeout=3600, prefetch_factor=1)
    batches = iter(loader)
    next(batches)
    os.kill(loader._iterator._workers[0].pid, signal.SIGKILL)
    with pytest.raises(WorkerError, match=r"num_workers=2: a worker that reads batches was ended by SIGKILL"):
        list(batches)


@pytest.mark.parametrize("which", ["anchors", "statistics", "tracks"])
def test_a_parquet_file_cut_in_half_is_named(which: str, anchors: Path, experiments: Path) -> None:
    if which == "tracks":
        path = experiments.parent / "Daten ü" / "Spuren 1" / "A/1/0" / "tracks.csv"
        pd.read_csv(path).to_parquet(path.with_suffix(".parquet"))
        path.unlink()
        path = path.with_suffix(".parquet")
    else:
        path = anchors if which == "anchors" else statistics_path(anchors)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    read: dict[str, Callable[[], object]] = {
        "anchors": lambda: AnchorDataset(anchors),
        "statistics": lambda: read_statistics(path),
        "tracks": lambda: index_project(experiments, anchors, overwrite=True),
    }
    with pytest.raises(InvalidInputError, match=path.name.replace(".", r"\.")):
        read[which]()


def test_rows_outside_their_image_are_refused_before_a_pixel_is_read(
    anchors: Path, experiments: Path
) -> None:
    table, metadata = read_anchors(anchors), read_metadata(anchors)
    for column, value in (("t", 6), ("y_crop", 32), ("x_crop", -1), ("z", 1)):
        beyond = table.assign(**{column: np.where(table.index == 5, value, table[column])})
        with pytest.raises(InvalidInputError, match=r"1 rows of the anchors table lie outside.* row"):
            AnchorDataset(
                beyond,
                experiments=metadata.experiments,
                patch_size=(8, 8),
                positive="self",
                statistics=read_statistics(statistics_path(anchors)),
            )
    tracks = experiments.parent / "Daten ü" / "Spuren 1" / FOVS[0] / "tracks.csv"
    tracks.write_text("track_id,t,y,x\n1,0,5,5\n1,6,5,5\n")
    with pytest.raises(TracksError, match=r"tracks\.csv: line 3, column 't': t=6 lies outside .* 6 frames"):
        index_project(experiments, anchors, overwrite=True)
    assert read_anchors(anchors).equals(table)
    assert metadata.experiments.experiments[0].channels == CHANNELS
