"""Compose the training batches of self-supervised models of single cells in time-lapse microscopy.

Names load on first use: ``import viscy_data`` imports neither PyTorch nor TensorStore nor iohub.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from viscy_data.anchors import build_anchors
    from viscy_data.anchors_file import AnchorsMetadata, read_anchors, read_metadata
    from viscy_data.anchors_writing import write_anchors
    from viscy_data.audit.plan_file import change_plan
    from viscy_data.check.finding import CheckReport, Finding
    from viscy_data.check.run import check_anchors, check_experiments
    from viscy_data.composition.axes import AtMost, Balance, Distinct, Focus, Grouping, Locality, Weighting
    from viscy_data.composition.batch import IndexBatch
    from viscy_data.composition.curriculum import Curriculum, ramp
    from viscy_data.composition.deviations import Deviation, deviations
    from viscy_data.composition.plan import BatchPlan
    from viscy_data.composition.report import CompositionReport
    from viscy_data.convert import convert_movies
    from viscy_data.dataset import AnchorDataset, Pairing, Reading
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
    from viscy_data.experiments import Experiment, Experiments, FovInfo
    from viscy_data.flat import flat_plan
    from viscy_data.index import IndexSummary, build_index
    from viscy_data.loader import AnchorLoader, anchor_loader
    from viscy_data.normalization import (
        compute_statistics,
        read_statistics,
        statistics_path,
        write_statistics,
    )
    from viscy_data.outputs import check_entries, check_output, check_outside, claimed, marked, write_text
    from viscy_data.plain_errors import run_plainly
    from viscy_data.positives import Positives
    from viscy_data.progress import progress_bar
    from viscy_data.rich_text import verbatim
    from viscy_data.sampler import FlexibleBatchSampler
    from viscy_data.splits import leave_one_out, split_lineages
    from viscy_data.store import StoreReader, describe
    from viscy_data.synthetic import synthesize
    from viscy_data.tau import TauRange
    from viscy_data.text import html_text, shown, shown_lines
    from viscy_data.tracks import read_tracks
    from viscy_data.transforms import Augment, Geometry, Intensity, center_crop
    from viscy_data.whole import clear_leftovers, whole_file, whole_folder
    from viscy_data.yaml_file import read_yaml

__all__ = [
    "AnchorDataset",
    "AnchorLoader",
    "AnchorsMetadata",
    "AtMost",
    "Augment",
    "Balance",
    "BatchPlan",
    "CheckReport",
    "CompositionReport",
    "CompositionWarning",
    "Curriculum",
    "Deviation",
    "Distinct",
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
    "OutputError",
    "Pairing",
    "Positives",
    "Reading",
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
    "flat_plan",
    "html_text",
    "leave_one_out",
    "marked",
    "progress_bar",
    "ramp",
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
    "audit.plan_file": ("change_plan",),
    "anchors": ("build_anchors",),
    "anchors_file": (
        "AnchorsMetadata",
        "read_anchors",
        "read_metadata",
    ),
    "anchors_writing": ("write_anchors",),
    "check.finding": ("CheckReport", "Finding"),
    "check.run": ("check_anchors", "check_experiments"),
    "composition.batch": ("IndexBatch",),
    "composition.deviations": (
        "Deviation",
        "deviations",
    ),
    "composition.curriculum": ("Curriculum", "ramp"),
    "composition.plan": ("BatchPlan",),
    "composition.axes": (
        "AtMost",
        "Balance",
        "Distinct",
        "Focus",
        "Grouping",
        "Locality",
        "Weighting",
    ),
    "composition.report": ("CompositionReport",),
    "convert": ("convert_movies",),
    "dataset": (
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
    "experiments": (
        "Experiment",
        "Experiments",
        "FovInfo",
    ),
    "flat": ("flat_plan",),
    "index": (
        "IndexSummary",
        "build_index",
    ),
    "loader": (
        "AnchorLoader",
        "anchor_loader",
    ),
    "normalization": (
        "compute_statistics",
        "read_statistics",
        "statistics_path",
        "write_statistics",
    ),
    "text": ("html_text", "shown", "shown_lines"),
    "rich_text": ("verbatim",),
    "outputs": ("check_entries", "check_output", "check_outside", "claimed", "marked", "write_text"),
    "whole": ("clear_leftovers", "whole_file", "whole_folder"),
    "plain_errors": ("run_plainly",),
    "positives": ("Positives",),
    "progress": ("progress_bar",),
    "sampler": ("FlexibleBatchSampler",),
    "splits": (
        "leave_one_out",
        "split_lineages",
    ),
    "store": (
        "StoreReader",
        "describe",
    ),
    "synthetic": ("synthesize",),
    "tau": ("TauRange",),
    "tracks": ("read_tracks",),
    "yaml_file": ("read_yaml",),
    "transforms": (
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
