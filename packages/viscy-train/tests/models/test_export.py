"""Models as ONNX: the same embeddings to 1e-4 from another runtime, with normalisation in the graph."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from viscy_data.errors import InvalidInputError
from viscy_train.cli.app import main
from viscy_train.encoder import EncoderOptions
from viscy_train.models.export import export
from viscy_train.packed import Card, Embedder, TrainedOn, read_model, write_model

onnxruntime = pytest.importorskip("onnxruntime", reason="it has no wheel for this Python")


def written(folder: Path, options: EncoderOptions, **how: Any) -> Path:
    """Write a model with statistics of batches that are not those it began with."""
    torch.manual_seed(0)
    network = Embedder(options, (32, 32))
    network.train()(torch.randn(8, options.in_channels or 1, options.depth or 1, 40, 40))
    places = tuple((f"channel {place}",) for place in range(options.in_channels or 1))
    trained = TrainedOn(channels=places, patch_size=(40, 40), slices=options.depth or 1)
    write_model(
        folder / "model.viscy", Card(encoder=vars(options), crop=(32, 32), trained_on=trained), network
    )
    return folder / "model.viscy"


@pytest.mark.parametrize(
    "options",
    [
        EncoderOptions("small", in_channels=2, depth=1, projection=8),
        EncoderOptions("small", in_channels=1, depth=4, stem_depth=2, projection=8),
        EncoderOptions("resnet10t", in_channels=2, depth=3, projection=8),
    ],
    ids=["small", "deep", "timm"],
)
def test_the_graph_gives_the_embeddings_of_the_model(options: EncoderOptions, tmp_path: Path) -> None:
    path = written(tmp_path, options)
    graph = onnxruntime.InferenceSession(export(path, tmp_path / "model.onnx"))
    network = read_model(path).network
    for cells in (1, 5):
        shape = (cells, options.in_channels or 1, options.depth or 1, 40, 40)
        patches = 300 + 50 * torch.randn(shape)
        scale = torch.stack([torch.full(shape[:2], 300.0), torch.full(shape[:2], 50.0)], dim=1)
        with torch.no_grad():
            expected = network((patches - 300) / 50)
        found = graph.run(None, {"patches": patches.numpy(), "scale": scale.numpy()})
        np.testing.assert_allclose(found[0], expected.embedding, atol=1e-4, rtol=1e-4)
        np.testing.assert_allclose(found[1], expected.projection, atol=1e-4, rtol=1e-4)


def test_the_card_travels_along_and_only_our_graphs_are_replaced(tmp_path: Path) -> None:
    path = written(tmp_path, EncoderOptions("small", in_channels=1, depth=1, projection=8))
    out = tmp_path / "model.onnx"
    assert main(["export", str(path), "-o", str(out)]) == 0
    held = onnxruntime.InferenceSession(out).get_modelmeta().custom_metadata_map["viscy-train"]
    assert Card.model_validate(json.loads(held)) == read_model(path).card
    assert main(["export", str(path), "-o", str(out)]) == 1
    assert main(["export", str(path), "-o", str(out), "--overwrite"]) == 0
    out.write_bytes(b"\x08\x0a\x12\x07pytorch")
    with pytest.raises(InvalidInputError, match=r"model\.onnx"):
        export(path, out, overwrite=True)


def test_what_is_missing_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(InvalidInputError, match=r"pip install 'viscy-train\[onnx\]'"):
        export(tmp_path / "model.viscy", tmp_path / "model.onnx")
