"""The GPU check runs whole on a CPU, at its smallest: whoever has a GPU finds a command that works."""

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

# The benchmark is not an installed package; its command finds these files beside itself.
sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))
gpu: Any = import_module("gpu")


def test_every_part_is_measured_and_written(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    found = gpu.main(["--smallest", "--folder", str(tmp_path / "data"), "--out", str(out)])
    assert json.loads(out.read_text()) == json.loads(json.dumps(found))
    trained = [values for values in found.values() if isinstance(values, dict) and "steps_per_s" in values]
    assert len(trained) == 3
    for values in trained:
        assert values["steps_per_s"] > 0
        assert 0 <= values["waiting"] <= 1
    assert found["embed"]["cells"] > 0
    assert found["embed"]["cells_per_s"] > 0
