"""YAML within bounds: what would not end, what would not fit, and what says one thing and means another."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from viscy_data.composition import BatchPlan
from viscy_data.errors import ExperimentsFileError, InvalidInputError
from viscy_data.files.yaml_file import MOST_BYTES, load_yaml, read_yaml
from viscy_data.sampling.plan_file import read_plan
from viscy_data.tables.experiments import Experiments

NINE = ",".join(["x"] * 9)


def expanding(pattern: str) -> str:
    """Return a text whose aliases repeat nine to the power of ten values."""
    lines = [f"a0: &a0 [{NINE}]" if "<<" not in pattern else "a0: &a0 {x: 1}"]
    lines += [pattern.format(i=i, all=",".join([f"*a{i - 1}"] * 9)) for i in range(1, 11)]
    return "\n".join(lines)


REFUSED = {
    "aliases of aliases": (expanding("a{i}: &a{i} [{all}]"), "1,000,000 values"),
    "merges of merges": (expanding("a{i}: &a{i}\n  <<: [{all}]"), "1,000,000 values"),
    "a circle": ("a: &x [*x]", r"\*x lies inside what it repeats"),
    "brackets": ("[" * 10**5, "nested deeper than 50"),
    "dashes": ("- " * 10**5 + "a", "nested deeper than 50"),
    "mappings": ("{a: " * 10**5, "nested deeper than 50"),
    "minutes": ("interval_minutes: 1:30", r"interval_minutes=1:30 is a number of base 60"),
    "a time": ("name: 12:30:00", r"name=12:30:00 is a number of base 60"),
    "a listed time": ("channels: [a, 12:30]", r"channels=12:30 is a number of base 60"),
    "octal": ("start_hpi: 010", r"start_hpi=010 is a number of base 60 or 8"),
    "digits": ("start_hpi: " + "9" * 5000, r"start_hpi=9+…9+ has too many digits"),
    "hexadecimal digits": ("start_hpi: 0x" + "f" * 5000, r"start_hpi=0xf+…f+ has too many digits"),
    "a key of digits": ("9" * 900 + ": a", "has too many digits"),
    "NUL": ("a: \0", "not allowed|not valid"),
    "a tab": ("a:\n\t- b", "cannot start any token"),
    "a key twice": ("a: 1\na: 2", "key 'a' is given twice"),
    "a deep key twice": ("b:\n  - {a: 1, a: 2}", "key 'a' is given twice"),
    "code": ("!!python/object/apply:os.system [ls]", "could not determine a constructor"),
    "a list as a key": ("? [a]\n: b", "unhashable key"),
    "bytes": ("name: !!binary aGk=", "could not determine a constructor"),
    "no number": ("a: !!int abc", "invalid literal"),
    "no date": ("a: 2024-99-99", "month must be"),
    "no timestamp": ("a: !!timestamp xx", ""),
    "two documents": ("a: 1\n---\nb: 2", "expected a single document"),
    "no anchor": ("a: *b", "undefined alias"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_out_of_bounds_is_refused_by_every_reader(tmp_path: Path, case: str) -> None:
    text, message = REFUSED[case]
    path = tmp_path / "given.yaml"
    path.write_text(text, encoding="utf-8")
    for read in (read_yaml, Experiments.load, lambda one: read_plan(one, BatchPlan(4))):
        with pytest.raises(
            InvalidInputError, match=rf"(?s)given\.yaml.*not valid YAML.*({message})"
        ) as caught:
            read(path)
        assert len(str(caught.value)) < 3000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("\ufeffa: ü".encode("utf-16"), "must be text in UTF-8"),
        ("a: ü".encode("latin-1"), "must be text in UTF-8"),
        (b"#" * (MOST_BYTES + 1), "more than 16 MB"),
    ],
)
def test_a_file_that_is_no_text_or_endless_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "given.yaml"
    path.write_bytes(content)
    with pytest.raises(ExperimentsFileError, match=message):
        read_yaml(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path, Path("a\0b"), tmp_path / ("n" * 300)):
        with pytest.raises(ExperimentsFileError, match="experiments file cannot be read"):
            read_yaml(path)


def test_a_byte_order_mark_and_merges_are_read(tmp_path: Path) -> None:
    path = tmp_path / "given.yaml"
    path.write_bytes(b"\xef\xbb\xbfbase: &b {x: 1, y: 1}\nown:\n  <<: *b\n  y: 2\n")
    assert read_yaml(path) == {"base": {"x": 1, "y": 1}, "own": {"x": 1, "y": 2}}
    assert load_yaml("a: &w [A/1]\nb: *w") == {"a": ["A/1"], "b": ["A/1"]}


NUMBERS = (".inf", "-.inf", ".nan", "1.0e+400", "9" * 200, "yes", "'1'", "[1]", "2024-01-01")
TEXTS = ("2024-01-01", "yes", "12")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(
            ("pixel_size_um", value)
            for value in ("1e400", ".inf", "-.inf", ".nan", "0", "-1", "1e-300", "1.0e-300")
        ),
        *(("pixel_size_um", value) for value in NUMBERS),
        *(("pixel_size_um", value) for value in ("1e400", "0", "-1", "1.0e-300", "1000000")),
        *(("interval_minutes", value) for value in (*NUMBERS, "-5", "1.0e-9")),
        *(("start_hpi", value) for value in NUMBERS),
        *(("name", value) for value in (*TEXTS, "1.5", "null", "[a]", "{a: b}")),
        *(("channels", f"[{value}]") for value in (*TEXTS, "null", "[a]")),
        *(("data_path", value) for value in (*TEXTS, "null", "[a]")),
        ("condition_wells", "{yes: [A/1]}"),
        ("condition_wells", "{a: [1]}"),
    ],
)
def test_a_value_that_cannot_be_names_its_key(tmp_path: Path, key: str, value: str) -> None:
    entry: dict[str, Any] = {"name": "a", "data_path": "s", "tracks_path": "s", "channels": ["c"]}
    (tmp_path / "s").mkdir()
    lines = [yaml.safe_dump({name: one}).strip() for name, one in entry.items() if name != key]
    body = "\n".join("    " + line for line in [f"{key}: {value}", *"\n".join(lines).split("\n")])
    path = tmp_path / "given.yaml"
    path.write_text(f"experiments:\n  -\n{body}\n")
    with pytest.raises(ExperimentsFileError, match=key) as caught:
        Experiments.load(path)
    assert len(str(caught.value)) < 1000
