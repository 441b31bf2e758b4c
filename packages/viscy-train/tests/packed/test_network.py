"""Models as files: the same embeddings from card and weights, and cards that do not fit are refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from viscy_data.errors import InvalidInputError
from viscy_train.cli.app import main
from viscy_train.encoder import EncoderOptions
from viscy_train.models.packing import card_of
from viscy_train.packed import (
    Card,
    Embedder,
    load_weights,
    read_model,
    read_packed,
    write_model,
    write_packed,
)
from viscy_train.packed.file import KEY
from viscy_train.packed.trained_on import TrainedOn

OWN = "own_encoders.Own"


def card_for(options: EncoderOptions, **more: Any) -> Card:
    trained = TrainedOn(channels=(("Phase",), ("RFP",)), patch_size=(40, 40), pixel_size_um=0.65)
    return Card(encoder=vars(options), crop=(32, 32), trained_on=trained, **more)


@pytest.fixture
def options() -> EncoderOptions:
    return EncoderOptions("small", in_channels=2, depth=1, projection=8)


@pytest.fixture
def path(options: EncoderOptions, tmp_path: Path) -> Path:
    write_model(tmp_path / "model.viscy", card_for(options, step=3), Embedder(options, (32, 32)))
    return tmp_path / "model.viscy"


def test_a_model_gives_the_embeddings_that_it_gave(options: EncoderOptions, tmp_path: Path) -> None:
    network = Embedder(options, (32, 32)).eval()
    write_model(tmp_path / "m.viscy", card_for(options), network)
    patches = torch.randn(3, 2, 1, 40, 40)
    state = torch.random.get_rng_state()
    read = read_model(tmp_path / "m.viscy")
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(read.network(patches).embedding, network(patches).embedding)
    assert read.card.trained_on == card_for(options).trained_on
    assert len(read.card.weights) == 64


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "format=2, and 1 is read here"),
        ({"step": -1}, "does not describe a model of this version: step"),
        ({"crop": [80, 80]}, r"crop=\(80, 80\) is larger than patch_size=\(40, 40\)"),
        ({"more": 1}, "does not describe a model of this version: more"),
        ({"trained_on": {"channels": []}}, "trained_on.channels"),
        ({"encoder": {"backbone": "small", "speed": 1}}, "does not hold a model of this version.*speed"),
        ({"encoder": {"backbone": "small", "in_channels": 3}}, "in_channels=3, and its card names 2"),
        (
            {"encoder": {"backbone": "small", "in_channels": 2, "depth": 2}},
            "weights differ from those of its",
        ),
        (
            {"encoder": {"backbone": "small", "in_channels": 2, "hidden": 1 << 40}},
            "weights differ from those of its encoder",
        ),
        (
            {"encoder": {"backbone": "no.such.Class"}},
            "is built of the class 'no.such.Class', whose code would run",
        ),
    ],
)
def test_a_card_that_does_not_fit_is_one_sentence(
    change: dict[str, Any], message: str, options: EncoderOptions, tmp_path: Path
) -> None:
    network = Embedder(options)
    card = card_for(options).model_dump(mode="json") | change
    write_packed(tmp_path / "m.viscy", card, network.state_dict())
    with pytest.raises(InvalidInputError, match=message) as caught:
        read_model(tmp_path / "m.viscy")
    assert "\n" not in str(caught.value)


def changed(path: Path, tensors: dict[str, torch.Tensor], **card: Any) -> Path:
    """Write the file anew as another program would, without our checks."""
    packed = read_packed(path)
    text = json.dumps({**packed.card, **card})
    save_file({**packed.tensors, **tensors}, path, metadata={KEY: text})
    return path


def test_weights_that_a_card_was_not_written_with_are_refused(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1000] ^= 0x40
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match=r"is damaged: its weights are not those"):
        read_model(path)


@pytest.mark.parametrize("kind", [torch.complex64, torch.int64])
def test_weights_of_another_kind_are_refused(kind: torch.dtype, path: Path) -> None:
    name = "encoder.head.layers.0.weight"
    held = read_packed(path).tensors[name].to(kind)
    with pytest.raises(InvalidInputError, match=rf"'{name}' is of {kind}, and torch.float32 is wanted"):
        read_model(changed(path, {name: held}, weights=""))


def test_weights_that_are_not_finite_are_not_used(path: Path) -> None:
    name = "encoder.head.layers.0.weight"
    held = read_packed(path).tensors[name].double() * 1e300  # finite where it lies, and not in 32 bits
    with pytest.raises(InvalidInputError, match="its weights are not finite"):
        read_model(changed(path, {name: held}, weights=""))


def test_a_validation_without_a_number_is_left_out(options: EncoderOptions) -> None:
    trained = card_for(options).trained_on.plain()
    module = {"encoder": vars(options), "crop": None}
    found = card_of(module, {"trained_on": trained}, 3, {"loss": float("nan"), "accuracy": 0.5})
    assert found.validation == {"accuracy": 0.5}


@pytest.mark.parametrize(
    "found",
    [
        {"metrics": 5},
        {"metrics": None},
        {"metrics": [{"available": True, "name": "a\nweights digest: b", "value": 1, "low": 1, "high": 1}]},
    ],
)
def test_a_card_from_anywhere_is_shown(
    found: dict[str, Any], path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for one in found["metrics"] if isinstance(found["metrics"], list) else []:
        one["shuffled"] = 1
    changed(path, {}, evaluation=found)
    assert main(["show", str(path)]) == 0
    assert capsys.readouterr().out.count("\nweights digest: ") == 1


def test_a_class_of_ones_own_is_built_only_where_it_is_named(tmp_path: Path) -> None:
    options = EncoderOptions(OWN, in_channels=2, depth=1, projection=4)
    write_model(tmp_path / "m.viscy", card_for(options), Embedder(options))
    for other in (None, "own_encoders.Liar"):
        with pytest.raises(InvalidInputError, match=r"--own-class own_encoders\.Own"):
            read_model(tmp_path / "m.viscy", own_class=other)
    assert read_model(tmp_path / "m.viscy", own_class=OWN).network.encoder.width == 5


def test_pretrained_weights_are_not_fetched(tmp_path: Path) -> None:
    options = EncoderOptions("resnet10t", in_channels=2, pretrained=True)
    assert not card_for(options).options().pretrained


def test_weights_begin_another_training(options: EncoderOptions, path: Path) -> None:
    other = Embedder(EncoderOptions("small", in_channels=2, depth=1, projection=16))
    head = {name: one.clone() for name, one in other.state_dict().items() if ".head." in name}
    with pytest.raises(InvalidInputError, match="init_part='encoder'"):
        load_weights(other, path)
    load_weights(other, path, "encoder")
    held = read_model(path).network.state_dict()
    for name, one in other.state_dict().items():
        assert torch.equal(one, head[name] if name in head else held[name]), name
    with pytest.raises(InvalidInputError, match=r"is of another model: .* weights differ"):
        load_weights(Embedder(EncoderOptions("small", in_channels=1)), path, "encoder")
