"""What users install: typed, licensed, and free of the workspace."""

import zipfile
from collections.abc import Callable
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("package", ["viscy-data", "viscy-train"])
def test_wheel_stands_alone(package: str, tmp_path: Path, run_uv: Callable[[list[str], Path], None]) -> None:
    build = ["build", "--wheel", "--no-sources", "--package", package, "--out-dir", str(tmp_path)]
    run_uv(build, ROOT)

    module = package.replace("-", "_")
    (built,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(built) as wheel:
        names = wheel.namelist()
        (about,) = [name for name in names if name.endswith(".dist-info/METADATA")]
        entries = wheel.read(about.replace("METADATA", "entry_points.txt")).decode("utf-8")
        metadata = Parser().parsestr(wheel.read(about).decode("utf-8"))
    assert {f"{module}/py.typed", f"{module}/__init__.pyi"} <= set(names), "a wheel has types and names"
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    held = {"configs/small.yaml", "view/view.html", "view/view.css", "view/view.js"}
    assert module != "viscy_train" or {f"viscy_train/{name}" for name in held} <= set(names)
    if module == "viscy_train":
        assert "viscy_train/napari_reader/napari.yaml" in names
        assert "[napari.manifest]\nviscy-train = viscy_train.napari_reader:napari.yaml" in entries
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {module}
    assert metadata["License-Expression"] == "BSD-3-Clause"
    assert metadata["Requires-Python"] == ">=3.12"
    assert not [r for r in metadata.get_all("Requires-Dist", []) if "@" in r], (
        "a wheel names no path and no URL"
    )
    assert str(metadata.get_payload()).strip(), "the README is the page on the index"
