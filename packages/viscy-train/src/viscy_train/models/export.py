"""A model as an ONNX graph: patches as stored in, embeddings out, without PyTorch.

Whoever runs a model elsewhere, in a microscope's program or another language, gets patches from somewhere and
must not forget to normalise them. So the graph does it: it takes patches as stored and the centre and spread
of each of their channels, which are what the model's card says of the statistics of the image (``mean_std``:
its mean and standard deviation), and 0 and 1 where it says ``none``. The card travels along as metadata.
"""

import warnings
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from viscy_data import InvalidInputError, ViscyDataError, claimed, whole_file
from viscy_train.models.packing import open_model
from viscy_train.packed import Embedder
from viscy_train.packed.file import KEY

INPUTS: Final = ("patches", "scale")
OUTPUTS: Final = ("embedding", "projection")


class RawEmbedder(nn.Module):
    """Patches as stored, and the scale of each of their channels, to embeddings and projections."""

    def __init__(self, network: Embedder) -> None:
        super().__init__()
        self.network = network

    def forward(self, patches: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        """Encode patches (B, C, Z, Y, X) float32, of centre and spread (B, 2, C)."""
        centre, spread = scale[:, 0], scale[:, 1]
        normalised = (patches - centre[:, :, None, None, None]) / spread[:, :, None, None, None]
        encoded = self.network(normalised)
        return encoded.embedding, encoded.projection


def export(
    model: str | Path, out: str | Path, *, own_class: str | None = None, overwrite: bool = False
) -> Path:
    """Write a model as ONNX; return `out`.

    The graph takes ``patches`` (B, C, Z, Y, X) float32 as stored and ``scale`` (B, 2, C) float32, the centre
    and the spread of each channel; it gives ``embedding`` (B, D) and ``projection`` (B, P). Any number of
    patches may be given at once; their size is the model's.

    Parameters
    ----------
    model : str or Path
        A model's file, or a checkpoint.
    out : str or Path
        The file to write, such as ``model.onnx``.
    own_class : str, optional
        As in `read_model`.
    overwrite : bool
        Replace a file that this function wrote.

    Raises
    ------
    InvalidInputError
        The libraries of the extra ``onnx`` are missing; the model is damaged; `out` exists.
    ViscyDataError
        The network does something that ONNX has no word for.
    """
    onnx = _libraries()
    with claimed(out, overwrite=overwrite, inputs=[model], make_parents=True) as place:
        opened = open_model(model, own_class=own_class)
        card = opened.card
        options = opened.network.encoder.options
        size = card.trained_on.patch_size
        # two of them: a batch of one would be taken for the only size there is
        patches = torch.zeros(2, options.in_channels or 1, options.depth or 1, *size)
        scale = torch.ones(2, 2, patches.shape[1])
        proto = _proto(RawEmbedder(opened.network).eval(), (patches, scale), str(model))
        proto.producer_name = "viscy-train"
        entry = proto.metadata_props.add()
        entry.key, entry.value = KEY, card.model_dump_json()
        with whole_file(place) as beside:
            onnx.save(proto, str(beside))
    return Path(out)


def _libraries() -> Any:
    try:
        import_module("onnxscript")
        return import_module("onnx")
    except ImportError as error:
        raise InvalidInputError(
            f"export needs {error.name}, which is not installed; it comes with the extra onnx: "
            "pip install 'viscy-train[onnx]'."
        ) from error


def _proto(network: nn.Module, inputs: tuple[Tensor, Tensor], named: str) -> Any:
    batch = torch.export.Dim("batch", min=1)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of the exporter's own workings
            program = torch.onnx.export(
                network,
                inputs,
                dynamo=True,
                verbose=False,
                input_names=INPUTS,
                output_names=OUTPUTS,
                dynamic_shapes={name: {0: batch} for name in INPUTS},
            )
    except (torch.onnx.OnnxExporterError, RuntimeError, TypeError, ValueError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise ViscyDataError(
            f"model={named!r} cannot be written as ONNX: {first[:300]}; take another backbone."
        ) from error
    if program is None:
        raise ViscyDataError(f"model={named!r} cannot be written as ONNX: the exporter gave nothing.")
    return program.model_proto
