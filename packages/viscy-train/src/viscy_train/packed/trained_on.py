"""What a model was trained on: all that somebody needs who has the model and not its data.

Weights mean something only for patches like those that they were fitted to. So what makes a patch - which
channel comes first, how large a pixel is, which slices, how intensities were scaled - is kept with them, and
with it what is worth knowing of the training: positives, plan, digests of the table and of the code. It is
plain values throughout, in checkpoints and in files of models.
"""

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from viscy_data import Experiment, statistics_path

type Name = Annotated[str, Field(min_length=1, max_length=1000)]
type Length = Annotated[float, Field(gt=0, allow_inf_nan=False)]
type Count = Annotated[int, Field(ge=1, le=1 << 20)]

KEY = "trained_on"
"""Where a checkpoint's options of the data hold it."""


class Plain(BaseModel):
    """Values that check themselves and do not change; what is not known to them is refused."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)


class TrainedOn(Plain):
    """What a model was trained on.

    Attributes
    ----------
    samples
        Whether a patch shows all channels of a cell, or one of them.
    channels
        The names by which the channel at each place goes, in order: experiments may name it differently.
    patch_size, slices
        Rows, columns and slices of a patch, before the model's own crop.
    pixel_size_um, slice_um
        Micrometres per pixel of patches, and from slice to slice; None: not known.
    depths
        Slices of the shallowest and of the deepest stack.
    sizes_unknown
        Experiments whose stores do not say their pixel size: their patches were taken in their own pixels.
    z
        Which slices: options of the window, and by which rules (``policies``) rows have their slice.
    normalization
        How intensities were scaled, as plain values of the data set's argument.
    border
        What became of patches that reach over the border of their image.
    positive, pairing, tau
        Which cell was the other view.
    plan
        How batches were composed, in words of the sampler.
    experiments
        Their names.
    digests
        Of the experiments file, of the anchors, of the stores and of the code, by these names.
    versions
        Of the code, by package.
    """

    samples: Literal["cells", "channels"] = "cells"
    channels: Annotated[tuple[Annotated[tuple[Name, ...], Field(min_length=1)], ...], Field(min_length=1)]
    patch_size: tuple[Count, Count]
    slices: Count = 1
    pixel_size_um: Length | None = None
    slice_um: Length | None = None
    depths: tuple[Count, Count] = (1, 1)
    sizes_unknown: tuple[Name, ...] = ()
    z: dict[str, Any] = Field(default_factory=dict)
    normalization: Any = None
    border: Name = "reflect"
    positive: Name = "lineage"
    pairing: dict[str, Any] = Field(default_factory=dict)
    tau: dict[str, Any] = Field(default_factory=dict)
    plan: dict[str, Any] = Field(default_factory=dict)
    experiments: tuple[Name, ...] = ()
    digests: dict[str, str] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """Return values for JSON and for a checkpoint."""
        return self.model_dump(mode="json")


def also_by_marker(choices: Mapping[str, Any], experiments: Iterable[Experiment]) -> dict[str, Any]:
    """Return choices by channel, and by what channels show, where those that show it have one choice.

    Where rows are channels, a table of others knows only what they show.
    """
    found = dict(choices)
    shown: dict[str, list[Any]] = {}
    for one in experiments:
        for name in filter(choices.__contains__, one.channels):
            shown.setdefault(one.marker_of(name), []).append(choices[name])
    for marker, own in shown.items():
        if marker not in found and all(choice == own[0] for choice in own):
            found[marker] = own[0]
    return found


def code_versions() -> dict[str, str]:
    """Return the versions of the packages that decide what a model computes."""
    return {name: version(name) for name in ("viscy-train", "viscy-data", "torch", "timm")}


def code_digest() -> str:
    """Return the SHA-256 of the source files of this package, in order of their names."""
    digest = hashlib.sha256()
    root = Path(__file__).parents[1]
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def table_digest(anchors: str | Path) -> str:
    """Return 32 hexadecimal digits of a table and of its statistics: a path may hold another one by now."""
    digest = hashlib.sha256()
    for path in (Path(anchors), statistics_path(anchors)):
        with suppress(FileNotFoundError), path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:32]
