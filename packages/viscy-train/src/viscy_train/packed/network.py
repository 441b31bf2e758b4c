"""The encoder as it is used: centre crop and encoder, read from a file and written to one."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import torch
from torch import Tensor, nn

from viscy_data import InvalidInputError, center_crop
from viscy_train.encoder import ContrastiveEncoder, Encoded, EncoderOptions, is_class_path
from viscy_train.finite import all_finite
from viscy_train.packed.card import Card, parse_card, refuse_foreign_class
from viscy_train.packed.file import read_packed, write_packed

_OTHER: Final = (RuntimeError, ArithmeticError, LookupError, AttributeError, TypeError, ValueError)
"""What values that are not a model's make it raise."""


class Embedder(nn.Module):
    """Patches (B, C, Z, Y, X), normalised, to embeddings (B, D) and projections (B, P).

    Parameters
    ----------
    options : EncoderOptions
        The encoder.
    crop : (int, int), optional
        Rows and columns that it sees, from the centre; None: all.
    """

    def __init__(self, options: EncoderOptions, crop: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.crop = crop
        self.encoder = ContrastiveEncoder(options)

    def forward(self, patches: Tensor) -> Encoded:
        """Encode patches."""
        encoded: Encoded = self.encoder(patches if self.crop is None else center_crop(patches, self.crop))
        return encoded


@dataclass(frozen=True)
class Model:
    """A model that knows its data.

    Attributes
    ----------
    network : Embedder
        In evaluation mode, on the CPU.
    card : Card
        What it was trained on.
    """

    network: Embedder
    card: Card


def make_model(card: Card, tensors: Mapping[str, Tensor], named: str, own_class: str | None = None) -> Model:
    """Return the network of a card, with weights.

    Parameters
    ----------
    card : Card
    tensors : mapping
        By the names of a module's state whose encoder is ``encoder``.
    named : str
        Begins the sentence of an error.
    own_class : str, optional
        The class whose code may run.

    Raises
    ------
    InvalidInputError
        Card and weights do not fit each other, or the backbone is a class that was not named.
    """
    try:
        options = card.options()
        refuse_foreign_class(options, own_class, named)
        places = len(card.trained_on.channels)
        if options.in_channels != places:
            raise ValueError(f"in_channels={options.in_channels}, and its card names {places} channels")
        if not is_class_path(options.backbone):
            # a card from anywhere may ask for more memory than there is: weights are compared with it first
            with torch.device("meta"):
                _check_shapes(Embedder(options, card.crop).state_dict(), tensors)
        with torch.random.fork_rng(devices=[]):  # weights are drawn, and replaced
            network = Embedder(options, card.crop)
        network.load_state_dict(dict(tensors))
        if not all_finite(network.state_dict().values()):
            raise ValueError("its weights are not finite")
    except InvalidInputError:
        raise
    except _OTHER as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InvalidInputError(f"{named} does not hold a model of this version: {reason[:300]}") from error
    return Model(network.eval(), card)


def _check_shapes(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    """Refuse weights of other names or shapes than those wanted."""
    here = {name: tuple(one.shape) for name, one in wanted.items()}
    there = {name: tuple(one.shape) for name, one in given.items()}
    differing = sorted(name for name in {*here, *there} if here.get(name) != there.get(name))
    other = [name for name in wanted if name in given and _kind(wanted[name]) != _kind(given[name])]
    if other and not differing:
        raise ValueError(
            f"{other[0]!r} is of {given[other[0]].dtype}, and {wanted[other[0]].dtype} is wanted"
        )
    if differing:
        name = differing[0]
        raise ValueError(
            f"{len(differing)} weights differ from those of its encoder, first {name!r} "
            f"({there.get(name, 'none')} there, {here.get(name, 'none')} wanted)"
        )


def _kind(tensor: Tensor) -> tuple[bool, bool]:
    return tensor.is_floating_point(), tensor.is_complex()


def read_model(path: str | Path, *, own_class: str | None = None) -> Model:
    """Read a model's file; no code that comes with it is run.

    Parameters
    ----------
    path : str or Path
        What ``viscy-train fit`` or ``pack`` wrote.
    own_class : str, optional
        The path of the class that the backbone is of, where it is one of your own: its code is run.

    Raises
    ------
    FileNotFoundError
        No such file.
    InvalidInputError
        It is damaged, of something else, has weights that are not finite, or its backbone is a class that
        is not `own_class`.
    """
    named = f"model={str(path)!r}"
    packed = read_packed(path)
    said = packed.card.get("weights")
    if said and said != digest_of(packed.tensors):
        raise InvalidInputError(
            f"{named} is damaged: its weights are not those that its card was written with; copy it anew, or "
            "pack its checkpoint again."
        )
    return make_model(parse_card(packed.card, named), packed.tensors, named, own_class)


def write_model(path: str | Path, card: Card, network: nn.Module) -> None:
    """Write a model's file, whole or not at all.

    Parameters
    ----------
    path : str or Path
        The file; one that is there is replaced.
    card : Card
        Its `weights` are filled in.
    network : nn.Module
        Anything whose encoder is ``encoder``, such as a `ContrastiveModule`.

    Raises
    ------
    InvalidInputError
        Weights are not finite, or the card is too large.
    OutputError
        The file cannot be written.
    """
    tensors = {name: one for name, one in network.state_dict().items() if name.startswith("encoder.")}
    filled = card.model_copy(update={"weights": digest_of(tensors)})
    write_packed(Path(path), filled.model_dump(mode="json"), tensors)


def load_weights(
    network: nn.Module,
    path: str | Path,
    part: Literal["all", "encoder"] = "all",
    own_class: str | None = None,
) -> None:
    """Give a network whose encoder is ``encoder`` the weights of a model's file.

    Parameters
    ----------
    network : nn.Module
        Changed in place.
    path : str or Path
        The model's file.
    part : {"all", "encoder"}
        ``encoder``: the head keeps its own.
    own_class : str, optional
        As in `read_model`.

    Raises
    ------
    InvalidInputError
        As `read_model`, or weights are of other shapes, all of which are counted and the first named.
    """
    held = read_model(path, own_class=own_class).network.state_dict()
    head = "encoder.head."

    def chosen(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        names = [name for name in state if name.startswith("encoder.")]
        return {name: state[name] for name in names if part == "all" or not name.startswith(head)}

    taken, own = chosen(held), chosen(network.state_dict())
    try:
        _check_shapes(own, taken)
    except ValueError as error:
        hint = "" if part == "encoder" else " To take the encoder without its head: init_part='encoder'."
        raise InvalidInputError(f"init_from={str(path)!r} is of another model: {error}.{hint}") from error
    network.load_state_dict(taken, strict=False)


def model_digest(model: nn.Module) -> str:
    """Return the SHA-256 of all weights and buffers with their names.

    Examples
    --------
    >>> layer = nn.Linear(2, 2)
    >>> model_digest(layer) == model_digest(layer)
    True
    """
    return digest_of(model.state_dict())


def digest_of(values: Mapping[str, Any]) -> str:
    """Return the SHA-256 of tensors with their names."""
    digest = hashlib.sha256()
    for name, value in sorted(values.items()):
        digest.update(name.encode())
        if isinstance(value, Tensor):
            digest.update(value.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
