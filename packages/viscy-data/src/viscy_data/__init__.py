"""Compose the training batches of self-supervised models of single cells in time-lapse microscopy.

Names load on first use: ``import viscy_data`` imports neither PyTorch nor TensorStore nor iohub.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from viscy_data.augment.transforms import Augment, Geometry, Intensity, center_crop
    from viscy_data.check.finding import CheckReport, Finding
    from viscy_data.check.run import check_anchors, check_experiments
    from viscy_data.cli.plain_errors import run_plainly
    from viscy_data.composition.axes import Balance, Distinct, Focus, Grouping, Locality, Weighting
    from viscy_data.composition.batch import IndexBatch
    from viscy_data.composition.deviations import Deviation, deviations
    from viscy_data.composition.expect import Expectation
    from viscy_data.composition.gauge import BatchGauge, BatchMeasure
    from viscy_data.composition.mix import Mix
    from viscy_data.composition.plan import BatchPlan
    from viscy_data.composition.report import CompositionReport
    from viscy_data.composition.schedule import Schedule
    from viscy_data.convert.run import convert_movies
    from viscy_data.dataset.anchor_dataset import AnchorDataset, Pairing, Reading
    from viscy_data.dataset.loader import AnchorLoader, anchor_loader
    from viscy_data.errors import (
        CompositionWarning,
        ExperimentsFileError,
        InvalidInputError,
        OutputError,
        StoreError,
        TracksError,
        ViscyDataError,
        WorkerError,
        suggest,
    )
    from viscy_data.files.outputs import (
        check_entries,
        check_output,
        check_outside,
        claimed,
        marked,
        write_text,
    )
    from viscy_data.files.whole import clear_leftovers, whole_file, whole_folder
    from viscy_data.files.yaml_file import read_yaml
    from viscy_data.images.normalization import (
        compute_statistics,
        read_statistics,
        statistics_path,
        write_statistics,
    )
    from viscy_data.images.store import StoreReader, describe
    from viscy_data.indexing.run import IndexSummary, build_index
    from viscy_data.progress import progress_bar
    from viscy_data.rich_text import verbatim
    from viscy_data.sampling.expectation import expect
    from viscy_data.sampling.flat import flat_plan
    from viscy_data.sampling.plan_file import change_plan
    from viscy_data.sampling.sampler import FlexibleBatchSampler
    from viscy_data.synthetic.writing import synthesize
    from viscy_data.tables.anchors.build import build_anchors
    from viscy_data.tables.anchors.read import AnchorsMetadata, read_anchors, read_metadata
    from viscy_data.tables.anchors.write import write_anchors
    from viscy_data.tables.experiments import Experiment, Experiments, FovInfo
    from viscy_data.tables.positives import Positives
    from viscy_data.tables.splits import leave_one_out, split_lineages
    from viscy_data.tables.tau import TauRange
    from viscy_data.tables.tracks.read import read_tracks
    from viscy_data.text import html_text, shown, shown_lines

__all__ = [
    "AnchorDataset",
    "AnchorLoader",
    "AnchorsMetadata",
    "Augment",
    "Balance",
    "BatchGauge",
    "BatchMeasure",
    "BatchPlan",
    "CheckReport",
    "CompositionReport",
    "CompositionWarning",
    "Deviation",
    "Distinct",
    "Expectation",
    "Experiment",
    "Experiments",
    "ExperimentsFileError",
    "Finding",
    "FlexibleBatchSampler",
    "Focus",
    "FovInfo",
    "Geometry",
    "Grouping",
    "IndexBatch",
    "IndexSummary",
    "Intensity",
    "InvalidInputError",
    "Locality",
    "Mix",
    "OutputError",
    "Pairing",
    "Positives",
    "Reading",
    "Schedule",
    "StoreError",
    "StoreReader",
    "TauRange",
    "TracksError",
    "ViscyDataError",
    "Weighting",
    "WorkerError",
    "anchor_loader",
    "build_anchors",
    "build_index",
    "center_crop",
    "change_plan",
    "check_anchors",
    "check_entries",
    "check_experiments",
    "check_output",
    "check_outside",
    "claimed",
    "clear_leftovers",
    "compute_statistics",
    "convert_movies",
    "describe",
    "deviations",
    "expect",
    "flat_plan",
    "html_text",
    "leave_one_out",
    "marked",
    "progress_bar",
    "read_anchors",
    "read_metadata",
    "read_statistics",
    "read_tracks",
    "read_yaml",
    "run_plainly",
    "shown",
    "shown_lines",
    "split_lineages",
    "statistics_path",
    "suggest",
    "synthesize",
    "verbatim",
    "whole_file",
    "whole_folder",
    "write_anchors",
    "write_statistics",
    "write_text",
]

_HOMES = {
    "sampling.plan_file": ("change_plan",),
    "tables.anchors.build": ("build_anchors",),
    "tables.anchors.read": (
        "AnchorsMetadata",
        "read_anchors",
        "read_metadata",
    ),
    "tables.anchors.write": ("write_anchors",),
    "check.finding": ("CheckReport", "Finding"),
    "check.run": ("check_anchors", "check_experiments"),
    "composition.batch": ("IndexBatch",),
    "composition.deviations": (
        "Deviation",
        "deviations",
    ),
    "composition.expect": ("Expectation",),
    "composition.gauge": (
        "BatchGauge",
        "BatchMeasure",
    ),
    "composition.mix": ("Mix",),
    "composition.plan": ("BatchPlan",),
    "composition.axes": (
        "Balance",
        "Distinct",
        "Focus",
        "Grouping",
        "Locality",
        "Weighting",
    ),
    "composition.report": ("CompositionReport",),
    "composition.schedule": ("Schedule",),
    "convert.run": ("convert_movies",),
    "dataset.anchor_dataset": (
        "AnchorDataset",
        "Pairing",
        "Reading",
    ),
    "errors": (
        "CompositionWarning",
        "ExperimentsFileError",
        "InvalidInputError",
        "OutputError",
        "StoreError",
        "TracksError",
        "ViscyDataError",
        "WorkerError",
        "suggest",
    ),
    "sampling.expectation": ("expect",),
    "tables.experiments": (
        "Experiment",
        "Experiments",
        "FovInfo",
    ),
    "sampling.flat": ("flat_plan",),
    "indexing.run": (
        "IndexSummary",
        "build_index",
    ),
    "dataset.loader": (
        "AnchorLoader",
        "anchor_loader",
    ),
    "images.normalization": (
        "compute_statistics",
        "read_statistics",
        "statistics_path",
        "write_statistics",
    ),
    "text": ("html_text", "shown", "shown_lines"),
    "rich_text": ("verbatim",),
    "files.outputs": ("check_entries", "check_output", "check_outside", "claimed", "marked", "write_text"),
    "files.whole": ("clear_leftovers", "whole_file", "whole_folder"),
    "cli.plain_errors": ("run_plainly",),
    "tables.positives": ("Positives",),
    "progress": ("progress_bar",),
    "sampling.sampler": ("FlexibleBatchSampler",),
    "tables.splits": (
        "leave_one_out",
        "split_lineages",
    ),
    "images.store": (
        "StoreReader",
        "describe",
    ),
    "synthetic.writing": ("synthesize",),
    "tables.tau": ("TauRange",),
    "tables.tracks.read": ("read_tracks",),
    "files.yaml_file": ("read_yaml",),
    "augment.transforms": (
        "Augment",
        "Geometry",
        "Intensity",
        "center_crop",
    ),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__version__ = version("viscy-data")


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
