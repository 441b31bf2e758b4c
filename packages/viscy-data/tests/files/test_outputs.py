"""What an output may replace, by the rules for all commands."""

import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from file_tree import tree

from viscy_data.errors import InvalidInputError, OutputError
from viscy_data.files.outputs import check_output, is_ours, marked, write_text

PRECIOUS = "somebody's thesis"

needs_posix = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes and signals as POSIX has them")


def test_what_bears_no_mark_is_not_replaced(tmp_path: Path) -> None:
    for name in ("thesis.json", "thesis.html", "thesis.parquet", "thesis"):
        path = tmp_path / name
        path.write_text(PRECIOUS)
        with pytest.raises(InvalidInputError, match=r"bears no mark.*remove it yourself"):
            write_text(path, "{}")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "thesis").write_text(PRECIOUS)
    with pytest.raises(InvalidInputError, match="bears no mark"):
        check_output(folder, kind="folder")
    assert set(tree(tmp_path).values()) == {PRECIOUS.encode()}


@pytest.mark.parametrize(
    "content",
    [
        "",
        '{"made_by": "viscy-data", "a": 1}',
        '[{"made_by": "viscy-data"}]',
        '<!doctype html>\n<html lang="en">\n<head>\n<meta name="made_by" content="viscy-train">',
    ],
)
def test_what_bears_a_mark_or_holds_nothing_is_replaced(tmp_path: Path, content: str) -> None:
    path = tmp_path / "out"
    path.write_text(content)
    write_text(path, "new")
    assert path.read_text() == "new"
    assert list(marked({"a": 1})) == ["made_by", "a"]


@needs_posix
@pytest.mark.parametrize("kind", ["link", "pipe", "device", "folder", "dangling"])
def test_only_a_file_is_replaced_by_a_file(tmp_path: Path, kind: str) -> None:
    path, target = tmp_path / "out", tmp_path / "target"
    target.write_text('{"made_by": "viscy-data"}')
    if kind == "device":
        path = Path(os.devnull)
    else:
        make: dict[str, Any] = {
            "link": lambda: path.symlink_to(target),
            "dangling": lambda: path.symlink_to(tmp_path / "nowhere"),
            "pipe": lambda: os.mkfifo(path),
            "folder": path.mkdir,
        }
        make[kind]()
    mode = path.lstat().st_mode
    with pytest.raises(InvalidInputError, match=r"link|pipe|folder"):
        write_text(path, "new")
    assert path.lstat().st_mode == mode
    assert target.read_text() == '{"made_by": "viscy-data"}'


def test_the_working_and_the_home_folder_are_never_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("work/deep", "home/me"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work" / "deep")
    monkeypatch.setenv("HOME", str(tmp_path / "home" / "me"))
    for folder in (tmp_path / "work", tmp_path / "home", tmp_path / "home" / "me", Path("/")):
        with pytest.raises(InvalidInputError):
            check_output(folder, kind="folder")
    (tmp_path / "work" / "empty").mkdir()
    check_output(tmp_path / "work" / "empty", kind="folder")


@pytest.mark.parametrize(
    "name", ["", "-", ".", "..", "a\0b", "n" * 300, "a/" * 3000 + "b", "file/out", "no/out"]
)
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_name_that_nothing_can_be_written_to_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text(PRECIOUS)
    with pytest.raises((InvalidInputError, OutputError), match="json=") as caught:
        check_output(name, kind=kind, argument="json")
    assert len(str(caught.value)) < 1000
    assert tree(tmp_path) == {"file": PRECIOUS.encode()}


def test_an_input_is_no_output(tmp_path: Path) -> None:
    given = tmp_path / "data" / "in.json"
    given.parent.mkdir()
    given.write_text('{"made_by": "viscy-data"}')
    os.link(given, tmp_path / "same.json")
    for path, kind in ((given, "file"), (tmp_path / "same.json", "file"), (given.parent, "folder")):
        with pytest.raises(InvalidInputError, match="is what the command reads"):
            check_output(path, kind=kind, inputs=[given])  # type: ignore[arg-type]  # a pair of literals
    check_output(tmp_path / "data" / "other.json", inputs=[given])


@pytest.mark.parametrize(
    "content",
    [
        "notes: file made_by: viscy-data was nice",
        '{"notes": {"made_by": "viscy-data"}}',
        '["made_by", "viscy-data"]',
        'see {"made_by": "viscy-data"}',
        '<!doctype html><html><head></head><body><meta name="made_by" content="viscy-data">',
    ],
)
def test_a_text_that_mentions_the_mark_is_not_replaced(tmp_path: Path, content: str) -> None:
    path = tmp_path / "n.txt"
    path.write_text(content)
    with pytest.raises(InvalidInputError, match="bears no mark"):
        write_text(path, "new")
    assert path.read_text() == content


def test_a_table_that_mentions_the_mark_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pd.DataFrame({"viscy_data": ["viscy_data"]}).to_parquet(path)
    assert not is_ours(path)
    path.write_bytes(b"PAR1 viscy_data")
    assert not is_ours(path)
