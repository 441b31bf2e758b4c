"""From a checkpoint to embeddings: the encoder, and patches as it saw them in training.

An encoder means something only for patches like those it was trained on. So size, depth and normalisation
of patches are those of the checkpoint, never stated anew, and a table with another number of channels is
refused.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import torch

from viscy_data import AnchorDataset, InvalidInputError, Reading, check_output, read_metadata, shown
from viscy_train.datamodule import PatchOptions
from viscy_train.embed import embed
from viscy_train.models.checkpoint_file import read_checkpoint
from viscy_train.module import ContrastiveModule

_OTHER: Final = (RuntimeError, ArithmeticError, LookupError, AttributeError, TypeError, ValueError)
"""What values that are not a module's make it raise."""


def embed_checkpoint(
    checkpoint: str | Path,
    anchors: str | Path,
    out: str | Path,
    *,
    device: str = "auto",
    batch_size: int = 256,
    overwrite: bool = False,
    reading: Reading = Reading(),  # noqa: B008 frozen
) -> Path:
    """Embed all cells of an anchors table with the encoder of a checkpoint; return `out`.

    Parameters
    ----------
    checkpoint : str or Path
        Written by a trainer that fitted a `ContrastiveModule` on an `AnchorDataModule`.
    anchors : str or Path
        A table that ``viscy-data index`` wrote, with the channels that the encoder was trained on.
    out : str or Path
        The file to write, see `viscy_train.embed.embed`.
    device : str
        A PyTorch device, or "auto": a GPU where there is one.
    batch_size : int
        Cells at a time.
    overwrite : bool
        Replace an existing file.
    reading : Reading
        How pixels are read. What it leaves open is as the encoder was trained, where that was stated, and
        else as the table was indexed. With ``on_error="skip"`` rows of cells that cannot be read are NaN.

    Raises
    ------
    FileNotFoundError
        No such checkpoint or table.
    InvalidInputError
        The checkpoint is of something else, or takes another number of channels than the table has; `out`
        exists; weights or an embedding are not finite.
    """
    read = [checkpoint, anchors]
    check_output(out, kind="folder", overwrite=overwrite, inputs=read, make_parents=True)
    content = read_checkpoint(checkpoint)
    module, patches = _module_of(checkpoint, content)
    chosen = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    dataset = AnchorDataset(
        anchors,
        patch_size=patches.size,
        z_window=patches.window,
        positive="self",
        normalization=content["datamodule_hyper_parameters"].get("normalization", patches.normalization),
        reading=_filled_in(reading, content["datamodule_hyper_parameters"].get("reading")),
    )
    experiments = read_metadata(anchors).experiments
    stores = experiments.experiments
    _refuse_other_channels(checkpoint, module, anchors, experiments.patch_channels)
    read += [path for one in stores for path in (one.data_path, one.tracks_path)]
    config = {"checkpoint": str(checkpoint), "model": dict(module.hparams)}
    return embed(
        module.to(chosen),
        dataset,
        out,
        config=config,
        batch_size=batch_size,
        overwrite=overwrite,
        inputs=read,
    )


def load_checkpoint(path: str | Path) -> tuple[ContrastiveModule, PatchOptions]:
    """Return the module of a checkpoint, on the CPU in evaluation mode, and the patches it was fitted on.

    Nothing but plain values and weights is read, so that a file of unknown origin can do no harm.

    Raises
    ------
    FileNotFoundError
        No such file.
    InvalidInputError
        The file is not a checkpoint of a `ContrastiveModule` fitted on an `AnchorDataModule`.
    """
    return _module_of(path, read_checkpoint(path))


def _refuse_other_channels(
    checkpoint: str | Path, module: ContrastiveModule, anchors: str | Path, channels: Sequence[str]
) -> None:
    takes = module.encoder.options.in_channels
    if len(channels) != takes:
        named = shown(", ".join(map(str, channels)), 300)
        raise InvalidInputError(
            f"anchors={str(anchors)!r} has channels={len(channels)} ({named}), while the encoder of "
            f"checkpoint={str(checkpoint)!r} takes {takes}; index the channels that it was trained on."
        )


def _filled_in(reading: Reading, trained: Any) -> Reading:
    """Fill in what a reading leaves open with what the training stated."""
    stated = trained if isinstance(trained, dict) else {}
    return replace(
        reading,
        missing_chunks=reading.missing_chunks or stated.get("missing_chunks"),
        non_finite=reading.non_finite or stated.get("non_finite"),
    )


def _module_of(path: str | Path, content: dict[str, Any]) -> tuple[ContrastiveModule, PatchOptions]:
    try:
        module = ContrastiveModule(**content["hyper_parameters"])
        module.load_state_dict(content["state_dict"])
        patches = PatchOptions(**content["datamodule_hyper_parameters"]["patches"])
    except _OTHER as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InvalidInputError(
            f"checkpoint={str(path)!r} does not hold a ContrastiveModule of this version: {reason[:300]}"
        ) from error
    return module.eval(), patches
