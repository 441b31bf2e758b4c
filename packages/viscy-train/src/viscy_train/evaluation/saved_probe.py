"""A probe kept in a file, and given other embeddings of the same model.

Problem: whoever has annotated one experiment wants its labels in the next one, and a probe that somebody
sends must not be a program, as a pickle is, nor be used on an embedding that it does not fit: of another
model, or of another layer, it would answer, and the answers would mean nothing. Idea: a logistic regression
is a few rows of numbers; they are kept as JSON with what they are of: label and classes, digest of the model,
layer and how it was corrected, and the metrics of the evaluation that the probe came from. What does not fit
is refused by name.

Cost: a probe of 10 classes on 768 features takes 170 kB; labelling is one matrix product a chunk.
"""

import json
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from viscy_data import InvalidInputError, columns, marked, shown, write_text
from viscy_train.evaluation.arrays import EmbeddingArray, FloatArray, texts_of
from viscy_train.evaluation.probe import fit_probe

if TYPE_CHECKING:
    import pandas as pd

_MOST_BYTES = 64 << 20
_ROWS = 65_536

type _Number = Annotated[float, Field(allow_inf_nan=False)]
type _Text = Annotated[str, Field(max_length=1000)]


class Origin(BaseModel):
    """Which embedding a probe is of: the digest of its model, and its layer, with how it was corrected."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    model_digest: _Text = ""
    layer: _Text = ""
    correction: _Text = ""


class SavedProbe(BaseModel):
    """A logistic regression on standardised embeddings, with what it is of.

    Attributes
    ----------
    label
        Column whose values it tells apart.
    classes
        Those values (K), as text.
    mean, scale
        Of each feature (D), to standardise with.
    weights, bias
        (K, D) and (K,): the softmax of ``x @ weights.T + bias`` is the probability of each class.
    origin
        The embedding that it was fitted on, and may be used on.
    cells
        How many cells of each class it was fitted on (K).
    metrics
        What ``evaluate`` found when it was fitted.
    answer
        The same in a sentence.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="ignore", frozen=True)

    format: Literal[1] = 1
    label: _Text
    classes: tuple[_Text, ...] = Field(min_length=2, max_length=10_000)
    mean: tuple[_Number, ...] = Field(min_length=1)
    scale: tuple[Annotated[_Number, Field(gt=0)], ...]
    weights: tuple[tuple[_Number, ...], ...]
    bias: tuple[_Number, ...]
    origin: Origin
    cells: tuple[Annotated[int, Field(ge=0)], ...]
    metrics: list[dict[str, Any]] = Field(default_factory=list)
    answer: _Text = ""
    version: _Text = ""

    @model_validator(mode="after")
    def _shapes_agree(self) -> Self:
        classes, features = len(self.classes), len(self.mean)
        by_class = {len(self.weights), len(self.bias), len(self.cells), len(set(self.classes))}
        if by_class != {classes} or {len(self.scale), *map(len, self.weights)} != {features}:
            raise ValueError(f"numbers of {classes} classes and {features} features are needed throughout")
        return self

    @classmethod
    def fit(
        cls,
        embedding: EmbeddingArray,
        labels: "pd.Series[Any]",
        origin: Origin,
        metrics: list[dict[str, Any]] | None = None,
        answer: str = "",
    ) -> Self:
        """Fit a probe as `evaluate` does, on all cells that have a label and a finite embedding.

        Parameters
        ----------
        embedding : ndarray (N, D)
        labels : Series (N,)
            Its name is the label's.
        origin : Origin
        metrics, answer
            To keep with it.

        Raises
        ------
        InvalidInputError
            If fewer than two classes have cells.

        Examples
        --------
        >>> import pandas as pd
        >>> labels = pd.Series(["a", "b"] * 20, name="label")
        >>> embedding = np.arange(40.0)[:, None] % 2
        >>> found = SavedProbe.fit(embedding, labels, Origin())
        >>> found.classes, found.probabilities(embedding).round().tolist()[:2]
        (('a', 'b'), [[1.0, 0.0], [0.0, 1.0]])
        """
        array = np.asarray(embedding, dtype=np.float64)
        known = labels.notna().to_numpy() & np.isfinite(array).all(axis=1)
        check_classes(labels[known])
        names, codes = np.unique(texts_of(labels[known]).to_numpy(str), return_inverse=True)
        scaler, fitted = fit_probe(array[known], codes.astype(np.int64))
        weights, bias = np.asarray(fitted.coef_), np.asarray(fitted.intercept_)
        if names.size == 2:  # of two classes the regression keeps the difference alone
            weights, bias = np.stack([0 * weights[0], weights[0]]), np.array([0.0, bias[0]])
        return cls(
            label=str(labels.name),
            classes=tuple(map(str, names)),
            mean=tuple(map(float, scaler.mean_)),
            scale=tuple(map(float, scaler.scale_)),
            weights=tuple(tuple(map(float, row)) for row in weights),
            bias=tuple(map(float, bias)),
            origin=origin,
            cells=tuple(int(count) for count in np.bincount(codes)),
            metrics=metrics or [],
            answer=answer[:1000],
            version=version("viscy-train"),
        )

    def probabilities(self, embedding: EmbeddingArray) -> FloatArray:
        """Return the probability of each class, (N, K); NaN where the embedding is not finite."""
        array = np.asarray(embedding)
        if array.ndim != 2 or array.shape[1] != len(self.mean):
            raise InvalidInputError(
                f"embedding.shape={array.shape}: the probe of {self.label!r} takes {len(self.mean)} "
                "features; give an embedding of the model that it was fitted on."
            )
        weights, found = np.array(self.weights), np.full((len(array), len(self.classes)), np.nan)
        for start in range(0, len(array), _ROWS):
            part = array[start : start + _ROWS].astype(np.float64)
            finite = np.isfinite(part).all(axis=1)
            logits = (part[finite] - self.mean) / self.scale @ weights.T + self.bias
            odds = np.exp(logits - logits.max(axis=1, keepdims=True))
            found[start : start + _ROWS][finite] = odds / odds.sum(axis=1, keepdims=True)
        return found

    def check_fits(self, origin: Origin, width: int, named: str) -> None:
        """Refuse an embedding that the probe was not fitted on.

        Raises
        ------
        InvalidInputError
            It is of another model, width, layer or correction; ``named`` begins the sentence.
        """
        ours = self.origin
        what = f"{named}: the probe of {shown(self.label)!r}"
        if width != len(self.mean):
            raise InvalidInputError(
                f"{what} takes {len(self.mean)} features, and this embedding has {width}; give an "
                "embedding of the model that it was fitted on."
            )
        if origin.model_digest != ours.model_digest:
            raise InvalidInputError(
                f"{what} was fitted on the model {_digest(ours)}, and this embedding is of "
                f"{_digest(origin)}; embed the cells with that model, or fit a probe on this embedding: "
                "viscy-train evaluate --save-probe."
            )
        if not ours.model_digest:
            warnings.warn(
                f"{what} and this embedding do not say which model they are of, so whether it is the same is "
                "not known; embed with viscy-train embed, which keeps it.",
                stacklevel=2,
            )
        if origin.correction != ours.correction:
            raise InvalidInputError(
                f"{what} was fitted on cells corrected by {shown(ours.correction) or 'nothing'}, and layer "
                f"{shown(origin.layer)!r} is corrected by {shown(origin.correction) or 'nothing'}; correct "
                "both in the same way."
            )

    def write(self, path: str | Path) -> None:
        """Write it as JSON, whole or not at all."""
        write_text(path, json.dumps(marked({"probe": self.model_dump(mode="json")}, "viscy-train")))


def check_classes(labels: "pd.Series[Any]") -> None:
    """Refuse cells of one class, or of none: there is nothing that a probe could tell apart.

    Raises
    ------
    InvalidInputError
        If there are fewer than two values.
    """
    names = texts_of(labels.dropna()).unique()
    if len(names) < 2:
        held = f"only {shown(names[0])}" if len(names) else "no value"
        raise InvalidInputError(
            f"label={shown(labels.name)!r}: cells have {held}; a probe tells two classes apart."
        )
    _check_names(str(labels.name), list(names))


def _check_names(label: str, names: list[str]) -> None:
    """Refuse classes that a text table, which is what labelled cells are written to, does not tell apart."""
    missing = [name for name in names if name in columns.MISSING_WORDS]
    if missing:
        raise InvalidInputError(
            f"label={shown(label)!r}: class {missing[0]!r} is read from a table as a value that is missing; "
            "give it another name."
        )
    try:
        numbers = [float(name) for name in names]
    except ValueError:
        return
    if len(set(numbers)) < len(numbers):
        twice = next(name for name, number in zip(names, numbers, strict=True) if numbers.count(number) > 1)
        raise InvalidInputError(
            f"label={shown(label)!r}: class {twice!r} and another are read from a table as one number; give "
            "them names that are no numbers."
        )


def read_probe(path: str | Path) -> SavedProbe:
    """Read what `SavedProbe.write` wrote.

    Raises
    ------
    InvalidInputError
        There is no such file, it is too large, or not a probe of this version.
    """
    place, named = Path(path), f"probe={str(path)!r}"
    if not place.is_file():
        there = "is not a file" if place.exists() else "does not exist"
        raise InvalidInputError(f"{named} {there}; give what viscy-train evaluate --save-probe wrote.")
    if place.stat().st_size > _MOST_BYTES:
        raise InvalidInputError(
            f"{named} is larger than {_MOST_BYTES >> 20} MB, and no probe is; give another."
        )
    try:
        content = json.loads(place.read_text(encoding="utf-8"))
        return SavedProbe.model_validate(content["probe"] if isinstance(content, Mapping) else content)
    except KeyError as error:
        raise InvalidInputError(
            f"{named} holds no probe; give what viscy-train evaluate --save-probe wrote."
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        at = ".".join(map(str, first["loc"]))
        raise InvalidInputError(
            f"{named} is not a probe of this version: {shown(at, 100)}: {shown(first['msg'], 200)}; save it "
            "anew."
        ) from error
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{named} is not JSON: {shown(error, 200)}; save it anew.") from error


def _digest(origin: Origin) -> str:
    return shown(origin.model_digest[:12]) if origin.model_digest else "(not known)"
