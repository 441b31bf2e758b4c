import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from iohub.ngff import Plate, TransformationMeta, open_ome_zarr

from viscy_data.errors import StoreError
from viscy_data.experiments import Experiment, FovInfo
from viscy_data.fovs import describe

type Version = Literal["0.4", "0.5"]
type Edit = Callable[[dict[str, Any]], object]

VERSIONS: tuple[Version, ...] = ("0.4", "0.5")
FOVS = ("B/2/0", "A/10/1", "A/10/0", "A/2/fov7")


def described(path: Path) -> list[FovInfo]:
    return describe(Experiment(name="a", data_path=path, tracks_path=path, channels=("Phase",)))


def write_plate(path: Path, version: Version, scales: dict[str, tuple[float, float]]) -> Path:
    """Write a plate with a pyramid of two levels; no pixel is written."""
    with open_ome_zarr(
        path, layout="hcs", mode="w-", channel_names=["Phase", "RFP"], version=version
    ) as plate:
        for i, (fov, scale) in enumerate(scales.items()):
            position = plate.create_position(*fov.split("/"))
            for level, side in (("0", 32), ("1", 16)):
                transform = [TransformationMeta(type="scale", scale=[1.0, 1.0, 2.0, *scale])]
                position.create_zeros(level, (3 + i, 2, 1, side, side + i), np.uint8, transform=transform)
    return path


def seen_by_iohub(path: Path) -> list[tuple[Any, ...]]:
    """Return name, shape, channels and scale of every position as iohub, which wrote them, sees them."""
    with open_ome_zarr(path, mode="r") as node:
        positions = node.positions() if isinstance(node, Plate) else [(path.stem, node)]
        return [
            (name, one["0"].shape, tuple(one.channel_names), tuple(one.get_effective_scale("0")[-2:]))
            for name, one in positions
        ]


def metadata_file(group: Path) -> Path:
    return group / ("zarr.json" if (group / "zarr.json").exists() else ".zattrs")


def edit(group: Path, change: Edit) -> None:
    """Change the OME attributes of a group in its file."""
    file = metadata_file(group)
    content = json.loads(file.read_text())
    attributes = content["attributes"] if file.name == "zarr.json" else content
    change(attributes.get("ome", attributes))
    file.write_text(json.dumps(content))


@pytest.fixture(params=VERSIONS)
def plate(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write_plate(tmp_path / "p.zarr", request.param, dict.fromkeys(FOVS, (0.5, 0.25)))


@pytest.mark.parametrize("version", VERSIONS)
def test_what_is_described_is_what_iohub_sees(tmp_path: Path, version: Version) -> None:
    scales = {fov: (0.5 + i, 0.25) for i, fov in enumerate(FOVS)}
    store = write_plate(tmp_path / "p.zarr", version, scales)
    expected = seen_by_iohub(store)
    assert [name for name, *_ in expected] == sorted(FOVS)
    assert [(one.fov, one.shape, one.channels, one.pixel_size_um) for one in described(store)] == expected
    for name, shape, channels, scale in expected:
        (alone,) = described(store / name)
        assert (alone.shape, alone.channels, alone.pixel_size_um) == (shape, channels, scale)


def test_scales_of_all_levels_and_of_the_first_multiply(plate: Path) -> None:
    shared = {"coordinateTransformations": [{"type": "scale", "scale": [1.0, 1.0, 1.0, 3.0, 5.0]}]}
    edit(plate / FOVS[0], lambda ome: ome["multiscales"][0].update(shared))
    (found,) = (one for one in described(plate) if one.fov == FOVS[0])
    assert found.pixel_size_um == (1.5, 1.25)


def test_channels_without_names_are_called_by_their_places(plate: Path) -> None:
    edit(plate / FOVS[0], lambda ome: ome.pop("omero"))
    edit(plate / FOVS[1], lambda ome: ome["omero"]["channels"][1].pop("label"))
    channels = {one.fov: one.channels for one in described(plate)}
    assert (channels[FOVS[0]], channels[FOVS[1]]) == (("0", "1"), ("Phase", "1"))


def test_a_unit_that_is_no_length_leaves_the_pixel_size_unknown(plate: Path) -> None:
    edit(plate / FOVS[0], lambda ome: ome["multiscales"][0]["axes"][4].update(unit="pixel"))
    assert [one.pixel_size_um is None for one in described(plate)] == [fov == FOVS[0] for fov in sorted(FOVS)]


def test_wells_that_were_taken_away_are_not_described(plate: Path) -> None:
    shutil.rmtree(plate / "A")
    (plate / "notes").mkdir()
    (plate / "readme.txt").write_text("moved row A")
    assert [one.fov for one in described(plate)] == ["B/2/0"]


@pytest.mark.parametrize(
    "change",
    [
        lambda ome: ome.pop("multiscales"),
        lambda ome: ome["multiscales"].clear(),
        lambda ome: ome["multiscales"][0]["datasets"].clear(),
        lambda ome: ome["multiscales"][0]["datasets"][0].update(path="gone"),
        lambda ome: ome["multiscales"][0]["datasets"][0]["coordinateTransformations"][0]["scale"].pop(),
        lambda ome: ome["multiscales"][0].update(axes="TCZYX"),
        lambda ome: ome["multiscales"][0]["axes"].pop(),
    ],
)
def test_a_damaged_position_is_named(plate: Path, change: Edit) -> None:
    edit(plate / FOVS[0], change)
    with pytest.raises(StoreError, match=f"fov='{FOVS[0]}'.*(cannot be read as OME-Zarr|axes)"):
        described(plate)


@given(content=st.binary(max_size=60) | st.sampled_from([b"[]", b"3", b'{"attributes": []}', b'{"ome": 1}']))
def test_whatever_stands_in_the_metadata_the_error_is_ours(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    for file in ("zarr.json", ".zattrs"):
        store = tmp_path_factory.mktemp("store")
        (store / file).write_bytes(content)
        with pytest.raises(StoreError, match="cannot be read as OME-Zarr"):
            described(store)
