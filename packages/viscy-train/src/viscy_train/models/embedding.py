"""From a model and a table to embeddings."""

from collections.abc import Collection, Mapping
from pathlib import Path

import torch

from viscy_data import InvalidInputError, Reading, check_output, read_metadata
from viscy_train.embed import embed
from viscy_train.models.fitting import open_as_trained
from viscy_train.models.packing import open_model


def embed_table(
    model: str | Path,
    anchors: str | Path,
    out: str | Path,
    *,
    channels: Mapping[str, str] | None = None,
    accept: Collection[str] = (),
    device: str = "auto",
    batch_size: int = 256,
    overwrite: bool = False,
    reading: Reading = Reading(),  # noqa: B008 frozen
    own_class: str | None = None,
) -> Path:
    """Embed all cells of an anchors table with a model; return `out`.

    Parameters
    ----------
    model : str or Path
        A model's file, or a checkpoint of ``viscy-train fit``.
    anchors : str or Path
        A table that ``viscy-data index`` wrote.
    out : str or Path
        The file to write, see `viscy_train.embed.embed`.
    channels : mapping, optional
        The table's names of channels by the model's, where they differ.
    accept : collection of str
        What need not be as in training: ``pixel_size``, ``slice_um``, ``z``, ``border``.
    device : str
        A PyTorch device, or "auto": a GPU where there is one.
    batch_size : int
        Cells at a time.
    overwrite : bool
        Replace an existing file.
    reading : Reading
        How pixels are read. What it leaves open is as the table was indexed. With ``on_error="skip"`` rows of
        cells that cannot be read are NaN.
    own_class : str, optional
        The path of the class that the backbone is of, where it is one of your own: its code is run.

    Raises
    ------
    FileNotFoundError
        No such model.
    InvalidInputError
        The model is damaged, or the table does not fit it, all of which is named; `out` exists; `device` is
        not there; weights or an embedding are not finite.
    """
    read = [Path(model), Path(anchors)]
    check_output(out, kind="folder", overwrite=overwrite, inputs=read, make_parents=True)
    chosen = _device(device)
    opened = open_model(model, own_class=own_class)
    dataset = open_as_trained(
        opened.card.trained_on, anchors, channels=channels, accept=accept, reading=reading
    )
    read = [Path(model), *inputs_of(anchors)]
    return embed(
        opened.network.to(chosen),
        dataset,
        out,
        config={
            "model": str(model),
            "channels": dict(channels or {}),
            "accept": sorted(accept),
            "card": opened.card.model_dump(mode="json"),
        },
        batch_size=batch_size,
        overwrite=overwrite,
        inputs=read,
    )


def inputs_of(anchors: str | Path) -> list[Path]:
    """Return a table and the files that it was built from, which no output replaces."""
    experiments = read_metadata(anchors).experiments.experiments
    return [Path(anchors), *(path for one in experiments for _, path in one.paths())]


def _device(named: str) -> torch.device:
    """Return a device that can be computed on.

    Raises
    ------
    InvalidInputError
        There is no such device here.
    """
    if named == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(named)
        torch.ones(1, device=found).item()
    except (RuntimeError, AssertionError, NotImplementedError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InvalidInputError(
            f"device={named!r}: cpu, or a device that is there, such as cuda:0, is needed ({reason[:200]}); "
            "leave it out to take a GPU where there is one."
        ) from error
    return found
