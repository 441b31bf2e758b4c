"""The demo's report: what is shown, in which order, and in which words."""

from collections.abc import Mapping
from importlib.metadata import version
from itertools import groupby
from typing import Any

from viscy_data import shown
from viscy_data.pages.page import Beside, Page, Paragraph, Picture, Section
from viscy_data.pages.page import Verdict as Finding
from viscy_data.pages.table import Cell, Table
from viscy_train.demo.comparison import COMPOSED, RANDOM, Comparison
from viscy_train.demo.pictures import batches_drawings, maps_picture, metrics_picture, pairs_picture
from viscy_train.demo.settings import DemoSettings
from viscy_train.demo.source import Source
from viscy_train.demo.training import Trained
from viscy_train.demo.verdict import Verdict
from viscy_train.embed import anchors_digest
from viscy_train.evaluation import Metric, NotAvailable, Outcome
from viscy_train.packed import model_digest
from viscy_train.report.figures import loss_figure

_VERSIONS = ("viscy-data", "viscy-train", "torch", "lightning", "scikit-learn", "numpy", "anndata")
_SUBTITLES = {
    "synthetic": "Synthetic experiments with known truth, in which few wells are infected, and not equally "
    "many on each plate; from images to a measured embedding.",
    "movies": "Real movies, from images and tracks to a measured embedding.",
    "data": "From an experiments file to a measured embedding.",
}


def tell(
    source: Source,
    trained: Mapping[str, Trained],
    comparison: Comparison,
    verdict: Verdict,
    settings: DemoSettings,
) -> Page:
    """Return the report's page."""
    every = source.experiments.experiments
    facts = (
        ("experiments", str(len(every))),
        ("cells x frames indexed", f"{len(source.anchors):,}"),
        ("evaluated", f"{len(comparison.obs):,}"),
        ("training steps, each", str(settings.steps)),
        ("seed", str(settings.seed)),
    )
    return Page(
        title="What is in a batch decides what a model learns",
        subtitle=_SUBTITLES[source.origin],
        verdicts=[Finding(verdict.text, verdict.tone)],
        facts=facts,
        sections=(
            _batches(source, trained),
            _pairs(source, trained[COMPOSED], settings),
            _metrics(comparison),
            _maps(source, comparison, settings),
            _losses(trained),
            _provenance(source, trained, settings),
        ),
        made_by="viscy-train",
    )


def _batches(source: Source, trained: Mapping[str, Trained]) -> Section:
    axes = trained[COMPOSED].data.batches
    on = ["one experiment per batch"]
    on += ["conditions in equal parts"] if axes.condition_balanced else []
    on += ["most cells near one time after infection"] if axes.temporal_enrichment else []
    notes = tuple(Paragraph(note, note=True) for note in (*source.notes, *trained[COMPOSED].warnings))
    lead = (
        f"Composed batches: {'; '.join(on)}. Random batches: all of these axes off. "
        "A column is one batch, the darker a square below it, the more cells were seen then."
    )
    drawings = Beside(batches_drawings(trained, source))
    return Section("What the batches hold", lead, (drawings, *notes))


def _pairs(source: Source, trained: Trained, settings: DemoSettings) -> Section:
    picture = Picture(
        pairs_picture(trained, source, settings),
        "Patches of cells, and of the same cells at a later time",
        "Normalised patches as the encoders see them, before augmentation; each shown at its own contrast.",
    )
    lead = (
        "An anchor and its positive are one cell at two times; the model learns to find one given the other."
    )
    return Section("What a pair shows", lead, (picture,))


def _metrics(comparison: Comparison) -> Section:
    evaluations = comparison.evaluations
    names = list(evaluations)
    rows = list(zip(*(one.outcomes for one in evaluations.values()), strict=True))
    picture = Picture(
        metrics_picture(comparison),
        "Values and intervals of six metrics for three embeddings",
        "Dots: values. Bars: 95 % intervals over units of treatment. Dashed: what shuffled labels give.",
    )
    measured = [found for found in rows if any(isinstance(one, Metric) for one in found)]
    table = Table(
        "Small: 95 % interval; what shuffled labels give. Bold: the best of the three.",
        ("metric", *names, "n", "better"),
        tuple(_row(outcomes) for outcomes in measured),
        words=True,
    )
    how = [
        Paragraph(f"{one.definition.title}: {one.definition.text}", note=True)
        for one in _one_per_family([outcomes[0] for outcomes in measured])
    ]
    missing = _missing([outcomes[0] for outcomes in rows if outcomes not in measured])
    lead = (
        "All three embeddings are of the same cells and as wide. Encoders were trained on all experiments, "
        "no loss saw a label; conditions and hours at most chose which cells met in composed batches. Where "
        "an experiment is left out, it is left out of the probe's training."
    )
    return Section("What the embeddings know", lead, (picture, table, *missing, *how))


def _missing(outcomes: list[Outcome]) -> list[Paragraph]:
    """Say what is not available, and why, one paragraph for each reason."""
    reasons = dict.fromkeys(one.reason for one in outcomes if isinstance(one, NotAvailable))
    return [
        Paragraph(
            f"Not available, since {reason}: "
            + "; ".join(one.definition.title for one in outcomes if getattr(one, "reason", None) == reason)
            + "."
        )
        for reason in reasons
    ]


def _one_per_family(outcomes: list[Outcome]) -> list[Outcome]:
    """Keep one of the metrics that differ by score only, such as accuracy and F1 of one probe."""
    families = groupby(outcomes, key=lambda one: one.name.split("/")[0])
    kept = []
    for family, members in families:
        found = list(members)
        kept += found if family == "retrieval" else found[:1]
    return kept


def _row(outcomes: tuple[Outcome, ...]) -> tuple[Cell | str, ...]:
    what = outcomes[0].definition
    metrics = [one for one in outcomes if isinstance(one, Metric)]
    # of what only describes an embedding none is the best
    sign = {"higher": 1, "lower": -1}.get(what.better, 0)
    best = max((sign * one.value for one in metrics), default=None) if sign else None
    cells = [_cell(one, best=isinstance(one, Metric) and sign * one.value == best) for one in outcomes]
    n = Cell(f"{metrics[0].n:,}", f"{metrics[0].units:,} {metrics[0].unit}") if metrics else Cell("")
    return (what.title, *cells, n, what.better)


def _cell(outcome: Outcome, *, best: bool) -> Cell:
    if not isinstance(outcome, Metric):
        return Cell("not available", outcome.reason)
    interval = f"{outcome.low:.3f} to {outcome.high:.3f}; shuffled {outcome.shuffled:.3f}"
    return Cell(f"{outcome.value:.3f}", interval, strong=best)


def _maps(source: Source, comparison: Comparison, settings: DemoSettings) -> Section:
    picture = Picture(
        maps_picture(comparison, source, settings),
        "Maps of the three embeddings coloured by experiment, condition and time",
        "t-SNE of the same cells (cosine distance, perplexity 30). Distances between islands mean little.",
    )
    lead = "A good embedding mixes experiments and orders conditions and time."
    return Section("Maps of the embeddings", lead, (picture,))


def _losses(trained: Mapping[str, Trained]) -> Section:
    picture = Picture(
        loss_figure({name: one.losses for name, one in trained.items()}),
        "Loss against training step for both encoders",
        "Not comparable with each other: cells of one experiment are harder to tell apart than of several.",
    )
    return Section("Training", "Same encoder, first weights, augmentation and number of steps.", (picture,))


def _provenance(source: Source, trained: Mapping[str, Trained], settings: DemoSettings) -> Section:
    counts = Table(
        "",
        ("experiment", "condition", "tracks", "cells x frames", "with a positive", "dropped"),
        tuple(
            (
                shown(one.experiment),
                shown(one.condition or "not known"),
                f"{one.cells:,}",
                f"{one.anchors:,}",
                f"{one.valid_anchors:,}",
                ", ".join(f"{count} {why}" for why, count in one.dropped.items() if count) or "none",
            )
            for one in source.summary.counts
        ),
        words=True,
    )
    made = Table("", ("what", "value"), tuple(provenance(source, trained, settings).items()), words=True)
    lead = "Everything below is needed, and enough, to make this report again."
    return Section("How this was made", lead, (counts, made))


def provenance(source: Source, trained: Mapping[str, Trained], settings: DemoSettings) -> dict[str, str]:
    """Return settings, versions and digests as text."""
    shown: dict[str, Any] = {
        "settings": settings,
        "tau": source.metadata.tau,
        "composed batches": trained[COMPOSED].data.batches,
        "random batches": trained[RANDOM].data.batches,
        "encoder": trained[COMPOSED].module.encoder.options,
        "experiments file (digest)": source.metadata.digest,
        "anchors (digest)": anchors_digest(source.anchors),
        "versions": ", ".join(f"{name} {version(name)}" for name in _VERSIONS),
    }
    weights = {f"weights, {name} (digest)": model_digest(one.module) for name, one in trained.items()}
    return {name: str(value) for name, value in (shown | weights).items()}
