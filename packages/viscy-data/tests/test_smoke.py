"""The package imports, says what is public, and stays light until a heavy name is used."""

import pkgutil
import subprocess
import sys

import pytest

import viscy_data

# The public surface is a contract with users: adding a name here is a decision, losing one breaks somebody.
PUBLIC = [
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
    "FlatArguments",
    "FlexibleBatchSampler",
    "Focus",
    "FovInfo",
    "Geometry",
    "Grouping",
    "ImportSummary",
    "IndexBatch",
    "IndexSummary",
    "Intensity",
    "InvalidInputError",
    "JoinReport",
    "Locality",
    "LoggedProgress",
    "Normalization",
    "OutputError",
    "Pairing",
    "Positives",
    "Reading",
    "ShownPatches",
    "StoreError",
    "StoreReader",
    "TauRange",
    "TracksError",
    "ViscyDataError",
    "Weighting",
    "WorkerError",
    "ZWindow",
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
    "describe_plan",
    "deviations",
    "flat_plan",
    "import_viscy",
    "join_annotations",
    "leave_one_out",
    "marked",
    "normalize_batch",
    "progress_bar",
    "ramp",
    "read_anchors",
    "read_metadata",
    "read_statistics",
    "read_tracks",
    "read_valid_anchors",
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

exported: list[str] = vars(viscy_data)["__all__"]
"""Made from the stub when the package is imported; a type checker sees the stub alone."""

# What reads the public names, a few lines of Python; anything else third-party in a light import is a leak.
LAZY = {"lazy_loader"}


def _third_parties_after(statement: str) -> set[str]:
    """Return the top-level packages from site-packages that a fresh interpreter holds after the statement."""
    code = (
        "import sys; before = set(sys.modules)\n"
        f"{statement}\n"
        "new = [m for name, m in sys.modules.items() if name not in before and '.' not in name]\n"
        "print(*{m.__name__ for m in new if 'site-packages' in (getattr(m, '__file__', None) or '')})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_public_names_are_pinned_and_sorted() -> None:
    assert exported == sorted(set(exported))
    assert exported == PUBLIC
    assert len(exported) == 89


@pytest.mark.parametrize("name", exported)
def test_public_name_resolves(name: str) -> None:
    value = getattr(viscy_data, name)
    assert value.__doc__
    assert name in dir(viscy_data)


def test_public_names_are_no_modules() -> None:
    # A lazy name gives way to a module of the same name as soon as anyone imports that module.
    modules = {module.name for module in pkgutil.iter_modules(viscy_data.__path__)}
    assert set(exported) & modules == set()


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="attribute FlexibelBatchSampler"):
        getattr(viscy_data, "FlexibelBatchSampler")  # noqa: B009 - a type checker would refuse the name


def test_import_stays_light() -> None:
    assert _third_parties_after("import viscy_data") <= LAZY


def test_composition_needs_numpy_only() -> None:
    assert _third_parties_after("import viscy_data.composition") <= {"numpy", *LAZY}


def test_the_light_import_check_sees_a_heavy_one() -> None:
    assert "pydantic" in _third_parties_after("import viscy_data.columns, pydantic")
