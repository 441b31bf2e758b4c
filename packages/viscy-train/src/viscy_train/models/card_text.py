"""The card of a model as text: what it was trained on, and what came of it."""

from collections.abc import Iterator
from typing import Any

from viscy_data import shown
from viscy_train.packed import Card


def card_lines(card: Card) -> Iterator[tuple[str, str]]:
    """Yield a name and what there is to say, for each thing that somebody who has the model should know."""
    data, encoder = card.trained_on, card.encoder
    yield "encoder", f"{encoder.get('backbone')}, {card.step:,} steps"
    for place, names in enumerate(data.channels):
        yield f"channel {place}" if data.samples == "cells" else "one of", " or ".join(names)
    rows, columns = data.patch_size
    crop = "" if card.crop is None else f", of which the middle {card.crop[0]} x {card.crop[1]} are seen"
    yield "patch", f"{rows} x {columns} pixels{crop}"
    yield "pixel size", _length(data.pixel_size_um)
    if data.sizes_unknown:
        yield "", f"not known in {', '.join(data.sizes_unknown)}"
    shallow, deep = data.depths
    stacks = f"{deep}" if shallow == deep else f"{shallow} to {deep}"
    yield "slices", f"{data.slices}, of stacks of {stacks}"
    if deep > 1:
        yield "slice spacing", _length(data.slice_um)
        yield "z", _plain(data.z)
    yield "normalization", _plain(data.normalization)
    yield "border", data.border
    yield "positives", f"{data.positive}, {_plain(data.tau)}" if data.positive == "lineage" else data.positive
    yield "batches", _plain({name: value for name, value in data.plan.items() if name != "plan"})
    if data.plan.get("plan"):
        yield "changed by plan", _plain(data.plan["plan"])
    yield "experiments", ", ".join(data.experiments)
    yield from ((f"{name} version", text) for name, text in data.versions.items())
    yield from ((f"{name} digest", text) for name, text in data.digests.items() if text)
    yield "weights digest", card.weights
    yield from ((f"validation {name}", f"{value:.4g}") for name, value in card.validation.items())
    yield from _evaluation(card.evaluation)


def _evaluation(found: dict[str, Any] | None) -> Iterator[tuple[str, str]]:
    if found is None:
        yield "evaluation", "none; pack --evaluation adds one"
        return
    metrics = found.get("metrics")
    for one in metrics if isinstance(metrics, list) else []:
        if not isinstance(one, dict) or not one.get("available"):
            continue
        numbers = [one.get(name) for name in ("value", "low", "high", "shuffled")]
        if all(isinstance(number, int | float) for number in numbers):
            value, low, high, by_chance = numbers
            yield str(one.get("name")), f"{value:.3f} ({low:.3f} to {high:.3f}; shuffled {by_chance:.3f})"


def _length(value: float | None) -> str:
    return "not known" if value is None else f"{value:.4g} um"


def _plain(value: Any) -> str:
    """Return plain values as one line: names and values, and nothing of what is null."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(one)}" for name, one in value.items() if one not in (None, {}, []))
    if isinstance(value, list | tuple):
        return "; ".join(map(_plain, value)) if value else "none"
    return "none" if value is None else shown(str(value), 200)
