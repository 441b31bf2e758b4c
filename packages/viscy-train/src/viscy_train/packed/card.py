"""What a model's file says of its weights: the encoder to build, the data to give it, and what came of it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from viscy_data import InvalidInputError
from viscy_train.encoder import EncoderOptions, is_class_path
from viscy_train.packed.trained_on import Count, Plain, TrainedOn

type Finite = Annotated[float, Field(allow_inf_nan=False)]


class Card(Plain):
    """What a file says of its weights.

    Attributes
    ----------
    format
        Of the file; another one is of another version.
    step
        Optimiser steps that the weights had.
    encoder
        Options of the encoder.
    crop
        Rows and columns that the encoder sees, from the centre of a patch; None: all of it.
    trained_on
        The data.
    training
        Options of the training that are not needed to use the model.
    validation
        Numbers logged at the last validation.
    evaluation
        What ``viscy-train evaluate`` found; None: nothing was evaluated.
    weights
        Digest of the weights.
    """

    format: Literal[1] = 1
    step: int = Field(ge=0, default=0)
    encoder: dict[str, Any]
    crop: tuple[Count, Count] | None = None
    trained_on: TrainedOn
    training: dict[str, Any] = Field(default_factory=dict)
    validation: dict[str, Finite] = Field(default_factory=dict)
    evaluation: dict[str, Any] | None = None
    weights: str = ""

    @model_validator(mode="after")
    def _crop_fits(self) -> Self:
        patch = self.trained_on.patch_size
        if self.crop is not None and (self.crop[0] > patch[0] or self.crop[1] > patch[1]):
            raise ValueError(f"crop={self.crop} is larger than patch_size={patch}")
        return self

    def options(self) -> EncoderOptions:
        """Return the encoder to build; nothing is fetched for it.

        Raises
        ------
        ValueError, TypeError
            The values are not an encoder's.
        """
        return replace(EncoderOptions(**self.encoder), pretrained=False)


def parse_card(values: Mapping[str, Any], named: str) -> Card:
    """Return the card that plain values are.

    Raises
    ------
    InvalidInputError
        They are not one; ``named`` begins the sentence.
    """
    if values.get("format", 1) != 1:
        raise InvalidInputError(
            f"{named} has format={values['format']!r:.40}, and 1 is read here; it is of another version of "
            "viscy-train: install that, or pack the checkpoint anew."
        )
    try:
        return Card.model_validate(dict(values), strict=False)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise InvalidInputError(
            f"{named} does not describe a model of this version: {place[:200]}: {first['msg'][:300]}; pack "
            "its checkpoint anew."
        ) from error


def refuse_foreign_class(options: EncoderOptions, own_class: str | None, named: str) -> None:
    """Refuse a file that names a class whose code would run, unless the user has named it, too.

    Raises
    ------
    InvalidInputError
        It was not named.
    """
    if is_class_path(options.backbone) and options.backbone != own_class:
        raise InvalidInputError(
            f"{named} is built of the class {options.backbone[:300]!r}, whose code would run here; where it "
            f"is yours, say so: --own-class {options.backbone[:300]}"
        )
