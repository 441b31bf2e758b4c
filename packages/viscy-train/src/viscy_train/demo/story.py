"""The demo's report: what is shown, in which order, and in which words."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np

from viscy_data import columns, shown
from viscy_data.pages.page import Beside, Page, Paragraph, Picture, Section
from viscy_data.pages.page import Verdict as Finding
from viscy_data.pages.table import Table
from viscy_train.demo.comparison import COMPOSED, RANDOM, Comparison, evaluated_cells
from viscy_train.demo.pictures import batches_drawings, maps_picture, pairs_picture
from viscy_train.demo.settings import DemoSettings
from viscy_train.demo.source import Source
from viscy_train.demo.training import Trained
from viscy_train.demo.verdict import Verdict, allowing_for_trainings
from viscy_train.embed import anchors_digest
from viscy_train.evaluation import differences
from viscy_train.packed import model_digest
from viscy_train.report.evaluation_page import sections
from viscy_train.report.figures import loss_figure
from viscy_train.report.headlines import verdicts
from viscy_train.view.galleries import Patched, galleries

_VERSIONS = ("viscy-data", "viscy-train", "torch", "lightning", "scikit-learn", "numpy", "anndata")
_SUBTITLES = {
    "synthetic": "Synthetic experiments with known truth, in which few wells are infected, and not equally "
    "many on each plate; from images to a measured embedding.",
    "movies": "Real movies, from images and tracks to a measured embedding.",
    "data": "From an experiments file to a measured embedding.",
}


_HOW = (
    "All embeddings are of the same cells and as wide. Encoders were trained on all experiments, no loss saw "
    "a label; conditions and hours at most chose which cells met in composed batches. Where an experiment is "
    "left out, it is left out of the probe's training. Each encoder was trained once: of all intervals only "
    "those of the verdict's two differences, of balanced accuracy and of the experiment told by neighbours, "
    "allow for trainings that differ."
)


def tell(
    source: Source,
    trained: Mapping[str, Trained],
    comparison: Comparison,
    verdict: Verdict,
    settings: DemoSettings,
) -> Page:
    """Return the report's page."""
    every = source.experiments.experiments
    # composed batches come first, so that differences are theirs to the others
    found = tuple(map(allowing_for_trainings, differences(comparison.evaluations, to=COMPOSED)))
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
        verdicts=[
            Finding(verdict.text, verdict.tone, notes=verdict.notes),
            # which is better is said above, where trainings that differ are allowed for
            *verdicts(comparison.evaluations),
        ],
        facts=facts,
        sections=(
            _batches(source, trained),
            _pairs(source, trained[COMPOSED], settings),
            *sections(comparison.evaluations, found, [_HOW], [_cells(source, comparison, settings)]),
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


def _cells(source: Source, comparison: Comparison, settings: DemoSettings) -> Section:
    dataset, array = evaluated_cells(source, settings), comparison.embeddings[COMPOSED]
    patched = Patched(array, comparison.obs, dataset, np.arange(len(array)), COMPOSED)
    return galleries(patched, columns.CONDITION, seed=settings.seed)


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
