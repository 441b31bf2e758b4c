"""From a checkpoint to embeddings: the encoder, and patches as it saw them in training."""

from pathlib import Path
from typing import Any

import torch

from viscy_data import check_output, read_metadata
from viscy_data.dataset import AnchorDataset
from viscy_data.errors import InvalidInputError
from viscy_train.datamodule import PatchOptions
from viscy_train.embed import embed
from viscy_train.module import ContrastiveModule


def embed_checkpoint(
    checkpoint: str | Path,
    anchors: str | Path,
    out: str | Path,
    *,
    device: str = "auto",
    batch_size: int = 256,
    overwrite: bool = False,
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

    Raises
    ------
    FileNotFoundError
        No such checkpoint or table.
    InvalidInputError
        The checkpoint is of something else; `out` exists.
    """
    read = [checkpoint, anchors]
    check_output(out, kind="folder", overwrite=overwrite, inputs=read, make_parents=True)
    module, patches = load_checkpoint(checkpoint)
    chosen = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    dataset = AnchorDataset(
        anchors,
        patch_size=patches.size,
        z_window=patches.z_window,
        positive="self",
        normalize=patches.normalize,
    )
    stores = read_metadata(anchors).experiments.experiments
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
        The file is no checkpoint of a `ContrastiveModule` fitted on an `AnchorDataModule`.
    """
    content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    missing = {"hyper_parameters", "datamodule_hyper_parameters", "state_dict"} - set(content)
    if missing:
        raise InvalidInputError(
            f"checkpoint={str(path)!r} lacks {', '.join(sorted(missing))}: viscy-train fit writes them"
        )
    module = ContrastiveModule(**content["hyper_parameters"])
    module.load_state_dict(content["state_dict"])
    return module.eval(), PatchOptions(**content["datamodule_hyper_parameters"]["patches"])
