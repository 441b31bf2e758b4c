"""Outputs of the commands: what they read is never replaced, and a full disk loses nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from file_tree import tree
from small_project import WriteStore, index_project, write_project

from viscy_data.errors import InvalidInputError, OutputError
from viscy_data.files.outputs import is_ours, write_text
from viscy_data.files.whole import whole_file
from viscy_data.images.plates import EXPERIMENTS_FILE, staged
from viscy_data.images.statistics import statistics_path
from viscy_data.optimize.job import plan_job
from viscy_data.optimize.run import rewrite
from viscy_data.synthetic.writing import synthesize

PRECIOUS = "somebody's thesis"

needs_posix = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes and signals as POSIX has them")


@pytest.fixture
def project(tmp_path: Path, write_store: WriteStore) -> Path:
    return write_project(tmp_path / "in", write_store)


@needs_posix
def test_the_library_does_not_replace_links_and_pipes_either(project: Path, tmp_path: Path) -> None:
    from viscy_data.tables.anchors.read import read_anchors, read_metadata
    from viscy_data.tables.anchors.write import write_anchors

    anchors = index_project(project, project.parent / "a.parquet")
    table, metadata = read_anchors(anchors), read_metadata(anchors)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(anchors)
    for name in ("pipe", "link", "in"):
        with pytest.raises(OutputError, match="does not replace"):
            write_anchors(tmp_path / name, table, metadata)
    assert (tmp_path / "link").is_symlink()


def test_commands_do_not_replace_what_they_read(project: Path) -> None:
    from typer.testing import CliRunner

    from viscy_data.cli.app import app

    folder = project.parent
    store = folder / "Daten ü" / "Platte 1.zarr"
    anchors = index_project(project, folder / "a.parquet")
    plan = folder / "plan.yaml"
    plan.write_text("batch_size: 4\n")
    before = tree(folder)
    for arguments in (
        ["import", project, "-o", folder, "--overwrite"],
        ["index", project, "-o", project, "--overwrite"],
        ["index", project, "-o", store, "--overwrite"],
        ["audit", anchors, "--html", anchors],
        ["audit", anchors, "--json", anchors],
        ["audit", anchors, "--plan", plan, "--json", plan],
        ["audit", anchors, "--html", folder / "x", "--json", folder / "x"],
        ["check", project, "--json", project],
        ["bench", project, "--index", anchors, "--html", anchors],
        [
            "optimize",
            folder / "Daten ü" / "Platte 1.zarr",
            "-o",
            folder / "Daten ü" / "Platte 1.zarr",
            "--patch=1,8,8",
        ],
        ["optimize", store, "-o", folder / "Daten ü", "--patch=1,8,8"],
    ):
        result = CliRunner().invoke(app, [str(one) for one in arguments])
        assert result.exit_code == 2, (arguments, result.output)
        assert result.output.startswith("Error: ")
        assert tree(folder) == before


def write_movie(movie: Path) -> None:
    """Write three frames, of noise, which does not compress, and the track of one cell."""
    import numpy as np
    import tifffile

    (movie / "frames").mkdir(parents=True)
    for t, frame in enumerate(np.random.default_rng(0).integers(0, 256, (3, 1, 70, 80), np.uint8)):
        tifffile.imwrite(movie / "frames" / f"t{t}.tif", frame)
    (movie / "tracks.csv").write_text("track_id,t,y,x\n" + "".join(f"1,{t},30,40\n" for t in range(3)))


def test_convert_does_not_delete_the_frames_that_it_reads(tmp_path: Path) -> None:
    from viscy_data.convert.run import convert_movies

    movie = tmp_path / "movies" / "a"
    write_movie(movie)
    before = tree(tmp_path)
    with pytest.raises(InvalidInputError, match="is what the command reads"):
        convert_movies([movie], tmp_path / "movies", overwrite=True, progress=False)
    assert tree(tmp_path) == before
    # a folder of the same name that is somebody else's stays, too
    other = tmp_path / "out" / "a"
    other.mkdir(parents=True)
    (other / "thesis").write_text(PRECIOUS)
    with pytest.raises(InvalidInputError, match="bears no mark"):
        convert_movies([movie], tmp_path / "out", overwrite=True, progress=False)
    assert (other / "thesis").read_text() == PRECIOUS


def test_what_an_index_wrote_is_replaced_and_nothing_else(project: Path) -> None:
    out = project.parent / "a.parquet"
    index_project(project, out)
    assert is_ours(out)
    assert is_ours(statistics_path(out))
    index_project(project, out, overwrite=True)
    pd.DataFrame({"mine": [1]}).to_parquet(out)
    with pytest.raises(InvalidInputError, match="bears no mark"):
        index_project(project, out, overwrite=True)
    assert list(pd.read_parquet(out)) == ["mine"]


def test_an_index_without_statistics_keeps_none_of_another_table(project: Path) -> None:
    out = index_project(project, project.parent / "a.parquet")
    index_project(project, out, overwrite=True, statistics=False)
    assert not statistics_path(out).exists()


def test_an_unrelated_folder_of_parts_is_left_alone(project: Path) -> None:
    parts = project.parent / ".a.parquet.parts"
    parts.mkdir()
    (parts / "thesis.arrow").write_text(PRECIOUS)
    index_project(project, project.parent / "a.parquet")
    assert [one.name for one in parts.iterdir()] == ["thesis.arrow"]


def test_an_unrelated_folder_beside_a_copy_is_left_alone(project: Path) -> None:
    out = project.parent / "fast.zarr"
    job = plan_job(project.parent / "Daten ü" / "Platte 1.zarr", out, patch=(1, 8, 8))
    job.work.mkdir()
    (job.work / "thesis").write_text(PRECIOUS)
    with pytest.raises(InvalidInputError, match="holds no journal of ours"):
        rewrite(job, progress=False)
    assert tree(job.work) == {"thesis": PRECIOUS.encode()}


@pytest.mark.parametrize("harm", ["[" * 10**5, "{}", "[1]", '{"file": 3}', "\x00", "nonsense"])
@pytest.mark.parametrize("place", [0, 1])
def test_a_damaged_journal_is_no_traceback(project: Path, harm: str, place: int) -> None:
    out = project.parent / "fast.zarr"
    job = plan_job(project.parent / "Daten ü" / "Platte 1.zarr", out, patch=(1, 8, 8))
    job.work.mkdir()
    lines = [json.dumps(job.terms()), ""]
    lines[place : place + 1] = [harm]
    (job.work / "journal.jsonl").write_text("\n".join(lines) + "\n")
    if place == 0:
        with pytest.raises(InvalidInputError, match=r"journal is damaged|with other"):
            rewrite(job, progress=False)
    else:
        assert rewrite(job, progress=False).found == 0
        assert out.is_dir()


# Writes past a size are refused as on a full disk; the signal that comes with it is ignored. One process pays
# for the imports, and each command ends in a fork of it.
FULL = """
import json, os, resource, signal, sys, traceback
from typer.main import get_command
from viscy_data.cli.app import app
import viscy_data.indexing.run, viscy_data.convert.run, viscy_data.audit.page, viscy_data.optimize.run
import viscy_data.synthetic.writing, viscy_data.bench.run, viscy_data.bench.page, tifffile, iohub.ngff

def command(size, arguments):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    try:
        get_command(app)(arguments)
    except SystemExit as ended:
        return ended.code
    except BaseException:
        traceback.print_exc()
    return 1

ended = {}
for name, (size, arguments) in json.load(sys.stdin).items():
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(writing, 2)
        code = command(size, arguments)
        sys.stderr.flush()
        os._exit(code or 0)
    os.close(writing)
    with open(reading) as said:
        text = said.read()
    ended[name] = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), text]
print(json.dumps(ended))
"""


COMMANDS = {
    "index": "index {given}/experiments.yaml -o {out}/new.parquet --tau-frames 1 2",
    "index again": "index {given}/experiments.yaml -o {given}/a.parquet --tau-frames 1 2 --overwrite",
    "audit html": "audit {given}/a.parquet --batch-size 8 --html {out}/a.html",
    "audit json": "audit {given}/a.parquet --batch-size 8 --json {out}/a.json",
    "bench": "bench {given}/experiments.yaml --index {given}/a.parquet --batch-size 8 --seconds 0 "
    "--workers 0 --no-optimize --json {out}/b.json",
    "check": "check {given}/a.parquet --json {out}/c.json",
    "convert": "convert {given}/movie -o {out}/plates",
    "optimize": "optimize {given}/plate.zarr -o {out}/fast.zarr --patch=1,8,8 --seconds 0 --yes",
    "synthesize": "synthesize -o {out}/play --experiments=1 --wells=2 --frames=2",
}


type Tree = dict[str, bytes]


@pytest.fixture(scope="module")
def on_a_full_disk(
    tmp_path_factory: pytest.TempPathFactory, write_store: WriteStore
) -> tuple[dict[str, tuple[int, str]], Tree, Path]:
    """Run all commands; return how each ended and what it said, and what it was given before."""
    if sys.platform == "win32":
        pytest.skip("no limit of file sizes")
    folder = tmp_path_factory.mktemp("full")
    project = write_project(folder / "in", write_store)
    given = project.parent
    index_project(project, given / "a.parquet")
    project.rename(given / "experiments.yaml")
    (given / "plate.zarr").symlink_to(given / "Daten ü" / "Platte 1.zarr")
    write_movie(given / "movie")
    before = tree(given)
    asked = {}
    for name, command in COMMANDS.items():
        out = folder / name
        out.mkdir()
        # split first: the folder's name may hold blanks
        arguments = [one.format(given=given, out=out) for one in command.split()]
        asked[name] = [300 if name == "check" else 2000, arguments]
    done = subprocess.run(
        [sys.executable, "-c", FULL], input=json.dumps(asked), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), before, folder


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_is_one_sentence_and_nothing_is_lost(
    on_a_full_disk: tuple[dict[str, tuple[int, str]], Tree, Path], command: str
) -> None:
    ended, before, folder = on_a_full_disk
    code, said = ended[command]
    assert code == 2, said
    assert "Traceback" not in said
    assert "Error: " in said
    assert "File too large" in said
    assert "the output:" not in said, "which one is not said"
    after = {name: content for name, content in tree(folder / "in").items() if ".parts/" not in name}
    assert after == before
    assert not [name for name in tree(folder / command) if not name.startswith(".")]


def test_staged_entries_are_ours_and_survive_a_failed_run(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with staged(out, ["a", EXPERIMENTS_FILE], overwrite=False) as folder:
        (folder / "a").mkdir()
        (folder / EXPERIMENTS_FILE).write_text("experiments: []\n")
    before = tree(out)
    again = staged(out, ["a", EXPERIMENTS_FILE], overwrite=True)
    with pytest.raises(OutputError, match="full"), again as folder:  # noqa: PT012 - what fails is inside
        (folder / "a").mkdir()
        raise OSError("full")
    assert tree(out) == before
    assert [one.name for one in tmp_path.iterdir()] == ["out"]
    with whole_file(out / "x") as beside:
        beside.write_text("x")


@pytest.mark.parametrize("out", ["file", "file/deep", "n" * 300, "a\0b"])
def test_a_folder_that_cannot_be_is_refused_before_work_starts(tmp_path: Path, out: str) -> None:
    (tmp_path / "file").write_text(PRECIOUS)
    with pytest.raises((InvalidInputError, OutputError), match="out="):
        synthesize(tmp_path / out, experiments=1, wells=2, frames=2, progress=False)
    assert tree(tmp_path) == {"file": PRECIOUS.encode()}


def test_the_working_folder_may_be_named_and_no_name_may_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from viscy_data.cli.app import app

    write_movie(tmp_path / "in" / "m")
    for number, out in enumerate((".", "..", "deep/..", "../")):
        here = tmp_path / str(number) / "deep"
        here.mkdir(parents=True)
        monkeypatch.chdir(here)
        (here / "deep").mkdir()
        done = CliRunner().invoke(app, ["convert", str(tmp_path / "in" / "m"), "-o", out])
        assert done.exit_code == 0, done.output
        assert (here / out / EXPERIMENTS_FILE).is_file()
        assert (here / out / "m" / "plate.zarr").is_dir()
    before = tree(tmp_path)
    for arguments in (["convert", str(tmp_path / "in" / "m")], ["synthesize"]):
        done = CliRunner().invoke(app, [*arguments, "-o", ""])
        assert done.exit_code == 2
        assert "cannot be written to" in done.output
    with pytest.raises(InvalidInputError, match="cannot be written to"):
        synthesize("", progress=False)
    with pytest.raises(InvalidInputError, match="cannot be written to"):
        synthesize("/", experiments=1, wells=2, frames=2, progress=False)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("edited", ["experiments.yaml", "m/mine.txt", "m/plate.zarr/mine.txt"])
def test_what_was_edited_since_is_not_replaced(tmp_path: Path, edited: str) -> None:
    from viscy_data.convert.run import convert_movies

    write_movie(tmp_path / "in" / "m")
    out = tmp_path / "out"
    for _ in range(3):
        convert_movies([tmp_path / "in" / "m"], out, overwrite=True, progress=False)
    with (out / edited).open("a") as file:
        file.write("# mine\n")
    before = tree(tmp_path)
    with pytest.raises(InvalidInputError, match=r"edited since it was written.*move it away"):
        convert_movies([tmp_path / "in" / "m"], out, overwrite=True, progress=False)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("out", ["m", "m/frames", "m/new", "s.zarr", "s.zarr/0/deep"])
def test_nothing_is_written_inside_a_movie_or_a_store(tmp_path: Path, out: str) -> None:
    from viscy_data.convert.run import convert_movies

    write_movie(tmp_path / "m")
    (tmp_path / "s.zarr" / "0").mkdir(parents=True)
    (tmp_path / "s.zarr" / "zarr.json").write_text("{}")
    before = tree(tmp_path)
    with pytest.raises(InvalidInputError, match="lies inside"):
        convert_movies([tmp_path / "m"], tmp_path / out, overwrite=True, progress=False)
    with pytest.raises(InvalidInputError, match="lies inside"):
        write_text(tmp_path / "s.zarr" / "0" / "a.json", "{}")
    assert tree(tmp_path) == before
    convert_movies([tmp_path / "m"], tmp_path / "beside", progress=False)
