"""From a training run to a model's file: what a checkpoint holds is all that is needed."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from torch import nn

from viscy_data import InvalidInputError, claimed
from viscy_train.models.checkpoint_file import read_checkpoint
from viscy_train.packed import Card, Model, TrainedOn, is_packed, model_digest, read_model, write_model
from viscy_train.packed.file import plain_json
from viscy_train.packed.network import make_model
from viscy_train.packed.trained_on import KEY

_AGAIN: Final = "fit it with this version of viscy-train"
_OF_ENCODER: Final = ("encoder", "crop")
_WRITTEN: Final = "give what viscy-train evaluate -o wrote"
_LARGEST: Final = 2 << 20


def card_of(
    model_options: Mapping[str, Any],
    data_options: Mapping[str, Any],
    step: int,
    validation: Mapping[str, float] | None = None,
) -> Card:
    """Return the card of a module and its data, from the options that a checkpoint holds.

    Raises
    ------
    ValidationError, LookupError
        They are not those of our modules.
    """
    return Card(
        step=step,
        encoder=dict(model_options["encoder"]),
        crop=model_options["crop"],
        trained_on=TrainedOn.model_validate(data_options[KEY]),
        training={name: one for name, one in model_options.items() if name not in _OF_ENCODER},
        validation={name: one for name, one in (validation or {}).items() if math.isfinite(one)},
    )


def model_of_checkpoint(path: str | Path, *, own_class: str | None = None) -> Model:
    """Return the model that a checkpoint holds.

    Raises
    ------
    FileNotFoundError
        No such file.
    InvalidInputError
        It is not one that ``viscy-train fit`` wrote, or of another version, or its backbone is a class that
        is not `own_class`.
    """
    content = read_checkpoint(path)
    named = f"checkpoint={str(path)!r}"
    try:
        options, data = content["hyper_parameters"], content["datamodule_hyper_parameters"]
        if KEY not in data:
            raise InvalidInputError(f"{named} does not say what its model was trained on; {_AGAIN}.")
        card = card_of(options, data, int(content.get("global_step", 0)))
        state = content["state_dict"]
        weights = {name: one for name, one in state.items() if name.startswith("encoder.")}
    except (ValidationError, LookupError, AttributeError, TypeError, ValueError) as error:
        if isinstance(error, InvalidInputError):
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InvalidInputError(
            f"{named} does not hold a ContrastiveModule of this version: {reason[:300]}; {_AGAIN}."
        ) from error
    return make_model(card, weights, named, own_class)


def open_model(path: str | Path, *, own_class: str | None = None) -> Model:
    """Return the model of a model's file or of a checkpoint.

    Raises
    ------
    FileNotFoundError
        No such file.
    InvalidInputError
        It is neither, or damaged.
    """
    if is_packed(Path(path)):
        return read_model(path, own_class=own_class)
    return model_of_checkpoint(path, own_class=own_class)


def pack(
    source: str | Path,
    out: str | Path,
    *,
    evaluation: str | Path | None = None,
    own_class: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the model of a checkpoint, or of another file, to a model's file; return `out`.

    Parameters
    ----------
    source : str or Path
        A checkpoint of ``viscy-train fit``, or a model's file.
    out : str or Path
        The file to write, such as ``model.viscy``.
    evaluation : str or Path, optional
        What ``viscy-train evaluate -o`` wrote of this model's embeddings; the card shows it.
    own_class : str, optional
        As in `read_model`.
    overwrite : bool
        Replace a model's file.

    Raises
    ------
    FileNotFoundError
        No such checkpoint.
    InvalidInputError
        The checkpoint or the evaluation is of something else, or `out` exists.
    OutputError
        `out` cannot be written.
    """
    inputs = [source] if evaluation is None else [source, evaluation]
    with claimed(out, overwrite=overwrite, inputs=inputs, make_parents=True) as place:
        model = open_model(source, own_class=own_class)
        card = model.card
        if evaluation is not None:
            card = card.model_copy(update={"evaluation": read_evaluation(evaluation, model.network)})
        write_model(place, card, model.network)
    return Path(out)


def read_evaluation(path: str | Path, network: nn.Module) -> dict[str, Any]:
    """Return what an evaluation found, where it is of these weights.

    Raises
    ------
    InvalidInputError
        The file is not an evaluation, or is that of another model.
    """
    named = f"evaluation={str(path)!r}"
    try:
        small = Path(path).stat().st_size <= _LARGEST
        found = plain_json(Path(path).read_text(encoding="utf-8")) if small else None
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"{named} cannot be read as JSON: {str(error)[:200]}; {_WRITTEN}.") from error
    if not (isinstance(found, dict) and isinstance(found.get("metrics"), list)):
        raise InvalidInputError(f"{named} holds no metrics; {_WRITTEN}.")
    if found.get("model_digest") not in (None, model_digest(network)):
        raise InvalidInputError(
            f"{named} is of the embeddings of another model; embed and evaluate with this one, and give that."
        )
    return {name: one for name, one in found.items() if name != "made_by"}
