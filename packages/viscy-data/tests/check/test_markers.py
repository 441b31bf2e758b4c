"""What is said of tables and files of which a row is one channel of a cell."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from viscy_data.check.finding import CheckReport
from viscy_data.check.run import check_anchors, check_experiments
from viscy_data.indexing.run import build_index
from viscy_data.tables.tau import TauRange

type WriteStore = Callable[..., Path]
type Channels = Mapping[str, str]


def written(folder: Path, write_store: WriteStore, channels: Mapping[str, Channels], **entry: Any) -> Path:
    """Write an experiment for each name, of two cells in three frames; the second twice where ``twins``."""
    twins = entry.pop("twins", False)
    entries = []
    for name, of in channels.items():
        pixels = np.random.default_rng(0).integers(1, 500, (3, len(of), 1, 32, 32)).astype(np.uint16)
        write_store(folder / f"{name}.zarr", {"A/1/0": pixels}, list(of))
        rows = [(track, t, 10 + 8 * min(track, 1), 20) for track in range(2 + twins) for t in range(3)]
        (folder / name / "A/1/0").mkdir(parents=True)
        table = pd.DataFrame(rows, columns=["track_id", "t", "y", "x"])
        table.to_csv(folder / name / "A/1/0" / "tracks.csv", index=False)
        entries.append({"name": name, "data_path": f"{name}.zarr", "tracks_path": name, "channels": dict(of)})
    path = folder / "experiments.yaml"
    content = {"samples": "channels", "experiments": entries}
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def reports(path: Path) -> list[CheckReport]:
    """Check a file, and the table that it becomes."""
    out = path.with_name("anchors.parquet")
    build_index(path, out, patch_size=(8, 8), tau=TauRange(frames=(1, 1)), progress=False, statistics=False)
    return [check_experiments(path, tau=TauRange(frames=(1, 1)), patch_size=(8, 8)), check_anchors(out)]


def texts(report: CheckReport, severity: Any, topic: str) -> list[str]:
    return [one.text for one in report.of(severity) if one.topic == topic]


@pytest.mark.parametrize("twins", [False, True])
def test_channels_of_a_cell_are_not_cells_in_one_place(
    tmp_path: Path, write_store: WriteStore, twins: bool
) -> None:
    channels = {"a": {"BF": "phase", "RFP": "ER"}, "b": {"BF": "phase", "GFP": "ER"}}
    for report in reports(written(tmp_path, write_store, channels, twins=twins)):
        found = texts(report, "problem", "places")
        if twins:
            (text,) = found
            assert text.startswith("24 rows have the very patch of another cell")
        else:
            assert found == []
        assert texts(report, "remark", "markers") == []
        assert texts(report, "fine", "markers") == [
            "A row is one channel of a cell: ER in 2 experiments, phase in 2 experiments."
        ]


def test_markers_that_need_a_look(tmp_path: Path, write_store: WriteStore) -> None:
    channels = {
        "a": {"GFP": "ER", "BF": "phase"},
        "b": {"GFP": "nucleus", "Phase3D": "phase", "BF": "phase"},
        "c": {"RFP": "er", "BF": "phase"},
    }
    for report in reports(written(tmp_path, write_store, channels)):
        said = texts(report, "remark", "markers")
        assert len(said) == 4
        for start in (
            "Channel 'GFP' shows ER in a; nucleus in b: group and balance by marker",
            "Several channels of one experiment show one marker: phase in b (Phase3D, BF)",
            "Markers 'ER', 'er' differ in capitals, spaces or signs only",
            "Markers of one experiment of 3: ER in a, er in c, nucleus in b; a batch of such a marker",
        ):
            assert sum(text.startswith(start) for text in said) == 1
