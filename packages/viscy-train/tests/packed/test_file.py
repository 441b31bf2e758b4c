"""Files of tensors and JSON: what is written comes back, and what is damaged is one sentence."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from viscy_data import check_output
from viscy_data.errors import InvalidInputError
from viscy_train.packed import is_packed, read_card, read_packed, write_packed
from viscy_train.packed.file import KEY

CARD = {"step": 3, "names": ["a", "é\n"], "nothing": None}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    weight = torch.arange(6.0).reshape(2, 3)
    tensors = {"a": weight, "shared": weight.T, "count": torch.tensor(7), "none": torch.zeros(0, 2)}
    write_packed(tmp_path / "model.viscy", CARD, tensors)
    return tmp_path / "model.viscy"


def test_what_is_written_comes_back(path: Path) -> None:
    packed = read_packed(path)
    assert packed.card == CARD == read_card(path)
    torch.testing.assert_close(packed.tensors["shared"], packed.tensors["a"].T)
    assert packed.tensors["count"] == 7
    assert packed.tensors["none"].shape == (0, 2)
    assert is_packed(path)


def test_whoever_may_read_other_files_may_read_it(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.touch()
    assert path.stat().st_mode == other.stat().st_mode


def test_it_bears_our_mark_and_replaces_only_such_files(path: Path, tmp_path: Path) -> None:
    check_output(path, overwrite=True)
    save_file({"a": torch.zeros(2)}, tmp_path / "theirs.viscy", metadata={"format": "pt"})
    with pytest.raises(InvalidInputError, match="theirs"):
        check_output(tmp_path / "theirs.viscy", overwrite=True)


def test_weights_that_are_not_finite_are_not_written(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(InvalidInputError, match="weights are not finite"):
        write_packed(path, CARD, {"a": torch.tensor([1.0, float("nan")])})
    assert path.read_bytes() == before


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}])
def test_a_card_that_json_does_not_hold_is_one_sentence(value: Any, path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(InvalidInputError, match="the card holds what JSON does not"):
        write_packed(path, {"much": value}, {})
    assert path.read_bytes() == before


def test_a_card_is_bounded(path: Path) -> None:
    with pytest.raises(InvalidInputError, match="leave the evaluation out"):
        write_packed(path, {"much": "x" * (5 << 20)}, {})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a model's file"),
        (b"hello\n", "not a model's file"),
        (b"\xff" * 64, "not a model's file"),
        ((4).to_bytes(8, "little") + b"[1]\n", "holds no card"),
        ((2).to_bytes(8, "little") + b"{}", "holds no card"),
        ((100).to_bytes(8, "little") + b"[" * 100, "not a model's file"),
    ],
)
def test_what_is_no_model_is_one_sentence(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "m.viscy").write_bytes(content)
    with pytest.raises(InvalidInputError, match=message) as caught:
        read_packed(tmp_path / "m.viscy")
    assert "\n" not in str(caught.value)


def test_a_folder_and_nothing_are_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="is a folder"):
        read_card(tmp_path)
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_card(tmp_path / "absent.viscy")


@given(place=st.integers(0, 400), change=st.integers(1, 255))
@settings(max_examples=60)
def test_damage_is_an_error_of_ours_or_is_not_seen(
    place: int, change: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "m.viscy"
    write_packed(path, CARD, {"a": torch.arange(6.0)})
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= change
    path.write_bytes(content)
    # anything else than an error of ours fails
    with suppress(InvalidInputError):
        read_packed(path)


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9])
def test_a_cut_file_is_refused(kept: float, path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(InvalidInputError):
        read_packed(path)


DEEP = '{"a": ' * 300 + "1" + "}" * 300


@pytest.mark.parametrize(
    "card",
    [
        "[1]",
        "{",
        "null",
        '"text"',
        '{"a": NaN}',
        '{"a": -Infinity}',
        '{"a": 1e999}',
        f'{{"a": 1{"0" * 99}}}',
        DEEP,
    ],
)
def test_another_card_is_refused(card: str, tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2)}, tmp_path / "m.viscy", metadata={KEY: card})
    with pytest.raises(InvalidInputError):
        read_card(tmp_path / "m.viscy")


def test_json_is_all_that_the_header_holds(path: Path) -> None:
    raw = path.read_bytes()
    header: dict[str, Any] = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    assert json.loads(header["__metadata__"][KEY]) == CARD
