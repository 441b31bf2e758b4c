import json
import os
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
from viscy_data.images.fovs import describe
from viscy_data.tables.experiment import Experiment, FovInfo

type Version = Literal["0.4", "0.5"]
type Edit = Callable[[dict[str, Any]], object]

VERSIONS: tuple[Version, ...] = ("0.4", "0.5")
FOVS = ("B/2/0", "A/10/1", "A/10/0", "A/2/fov7")


def described(path: Path, **options: Any) -> list[FovInfo]:
    return describe(Experiment(name="a", data_path=path, tracks_path=path, channels=("Phase",), **options))


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


def test_what_is_listed_twice_with_a_slash_counts_once(plate: Path) -> None:
    edit(plate, lambda ome: ome["plate"]["wells"].append(ome["plate"]["wells"][0] | {"path": "B/2/"}))
    edit(plate / "B/2", lambda ome: ome["well"]["images"].append({"path": "0/"}))
    assert [one.fov for one in described(plate)] == sorted(FOVS)


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
    found = described(plate)
    assert [one.pixel_size_um is None for one in found] == [fov == FOVS[0] for fov in sorted(FOVS)]
    assert [one.notes for one in found if one.notes] == [
        ("pixel size not known: 'pixel' is not a unit of length; set pixel_size_um",)
    ]


@pytest.mark.parametrize(
    ("unit", "step", "pixel", "expected"),
    [
        (None, 1.0, 0.5, None),
        (None, 2.5, 0.5, 2.5),
        ("micrometer", 1.0, 0.5, 1.0),
        ("micrometer", 1.0, 1.0, None),
        ("nanometer", 250.0, 1.0, 0.25),
        ("slice", 1.0, 0.5, None),
        ("slice", 2.0, 0.5, None),
        (None, 0.0, 0.5, None),
    ],
)
def test_a_step_in_z_is_known_where_it_is_said_and_leaves_the_pixel_size_as_it_is(
    plate: Path, unit: str | None, step: float, pixel: float, expected: float | None
) -> None:
    def change(ome: Any) -> None:
        (image,) = ome["multiscales"]
        for axis, name in zip(image["axes"][2:], (unit, "micrometer", "micrometer"), strict=True):
            axis.pop("unit", None)
            axis.update({} if name is None else {"unit": name})
        image["datasets"][0]["coordinateTransformations"] = [
            {"type": "scale", "scale": [1.0, 1.0, step, pixel, pixel]}
        ]

    edit(plate / FOVS[0], change)
    (found,) = (one for one in described(plate) if one.fov == FOVS[0])
    assert found.slice_um == expected
    assert found.pixel_size_um == (None if pixel == 1 else (pixel, pixel))


def test_nothing_is_a_position_that_the_metadata_do_not_list(plate: Path) -> None:
    shutil.copytree(plate / "A" / "2", plate / "C" / "7")
    shutil.copytree(plate / FOVS[0], plate / "B" / "2" / "tables")
    shutil.copytree(plate / FOVS[0], plate / FOVS[0] / "labels" / "nuclei")
    (plate / "notes").mkdir()
    for row in "AB":  # rows need no metadata of their own
        metadata_file(plate / row).unlink(missing_ok=True)
        (plate / row / ".zgroup").unlink(missing_ok=True)
    assert [one.fov for one in described(plate)] == sorted(FOVS)


def test_what_is_listed_and_missing_is_named_unless_it_is_excluded(plate: Path) -> None:
    shutil.rmtree(plate / "A/10/1")
    shutil.rmtree(plate / "A/2")
    with pytest.raises(StoreError, match=r"missing.*: A/10/1, A/2\. .*exclude_fovs: \[A/10/1, A/2\]"):
        described(plate)
    found = described(plate, exclude_fovs=("A/10/1", "A/2"))
    assert [one.fov for one in found if one.shape[0]] == ["A/10/0", "B/2/0"]
    assert [(one.fov, one.well) for one in found if not one.shape[0]] == [("A/10/1", "A/10"), ("A/2", "A/2")]


def test_what_is_excluded_need_not_be_readable(plate: Path) -> None:
    for fov in FOVS[:2]:
        metadata_file(plate / fov).write_text("{")
    with pytest.raises(StoreError) as caught:
        described(plate)
    assert all(f"fov={fov!r}" in str(caught.value) for fov in FOVS[:2])
    assert [one.shape[0] > 0 for one in described(plate, exclude_fovs=FOVS[:2])] == [True, False, True, False]


@pytest.mark.parametrize(
    ("key", "path"),
    [
        *(("wells", one) for one in ("..", "A", "../../p.zarr/A/2", "/A/2", "A/2/fov7", "A/..", "A\0/2", "")),
        *(("images", one) for one in ("..", "../2/fov7", "/fov7", "fov7/0", ".", "a\nb", "x" * 300)),
        *(("datasets", one) for one in ("..", "../fov7/0", "/etc", "0/../../fov7/0", "0\0", "", "0//1")),
    ],
)
def test_paths_that_leave_the_store_are_refused(plate: Path, key: str, path: str) -> None:
    group, change = {
        "wells": (plate, lambda ome: ome["plate"]["wells"][0].update(path=path)),
        "images": (plate / "B/2", lambda ome: ome["well"]["images"][0].update(path=path)),
        "datasets": (plate / FOVS[0], lambda ome: ome["multiscales"][0]["datasets"][0].update(path=path)),
    }[key]
    edit(group, change)
    with pytest.raises(StoreError, match=rf"{key}: path="):
        described(plate)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_group_that_is_no_image_says_where_to_point(tmp_path: Path, version: Version) -> None:
    store = write_plate(tmp_path / "p.zarr", version, dict.fromkeys(FOVS, (0.5, 0.25)))
    with pytest.raises(StoreError, match=f"is a well; point data_path to its plate, {store}"):
        described(store / "A/2")
    with pytest.raises(StoreError, match=f"no metadata of Zarr.*point data_path to {store}"):
        described(tmp_path)
    with pytest.raises(StoreError, match=r"not an array|neither 'plate' nor 'multiscales'"):
        described(store / FOVS[0] / "0")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("series", [None, ["0"], ["1", "0"]])
def test_a_root_of_bioformats2raw_names_its_images(
    tmp_path: Path, version: Version, series: list[str] | None
) -> None:
    store = write_plate(tmp_path / "p.zarr", version, dict.fromkeys(FOVS[:1], (0.5, 0.25)))
    root = tmp_path / "raw.zarr"
    layout = {"bioformats2raw.layout": 3}
    for group, ome in ((root, layout), (root / "OME", {} if series is None else {"series": series})):
        group.mkdir(exist_ok=True, parents=True)
        whole = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": ome}}
        old = version == "0.4"
        (group / (".zattrs" if old else "zarr.json")).write_text(json.dumps(ome if old else whole))
    for name in ("0", "1"):
        shutil.copytree(store / FOVS[0], root / name)
    with pytest.raises(StoreError, match=f"bioformats2raw.*point data_path to .*{root}/{(series or '0')[0]}"):
        described(root)
    assert [one.fov for one in described(root / "0")] == ["0"]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["GFP"], ("GFP", "1")),
        ([], ("0", "1")),
        ([None, "RFP"], ("0", "RFP")),
        (["", "RFP"], ("0", "RFP")),
        (["a", "b", "c"], "names 3 channels"),
        (["GFP", "GFP"], "'GFP' is the name of channels 0, 1"),
        (["1"], "'1' is the name of channels 0, 1"),
        ([7], "omero.channels.0.label"),
    ],
)
def test_names_for_the_named_channels_and_places_for_the_rest(
    plate: Path, labels: list[Any], expected: tuple[str, ...] | str
) -> None:
    for fov in FOVS:
        edit(plate / fov, lambda ome: ome["omero"].update(channels=[{"label": one} for one in labels]))
    if isinstance(expected, str):
        with pytest.raises(StoreError, match=expected):
            described(plate)
    else:
        assert {one.channels for one in described(plate)} == {expected}


@pytest.mark.parametrize("unit", ["micron", "um", "µm", "Micrometers"])
def test_aliases_of_the_micrometre_are_micrometres(plate: Path, unit: str) -> None:
    for fov in FOVS:
        edit(plate / fov, lambda ome: [axis.update(unit=unit) for axis in ome["multiscales"][0]["axes"]])
    assert {one.pixel_size_um for one in described(plate)} == {(0.5, 0.25)}


@pytest.mark.parametrize("length", [0.0, -0.5, float("nan"), float("inf"), 1e-300, 1e300, 1e7, 1e-7])
def test_a_scale_that_is_no_length_is_refused_unless_the_size_is_given(plate: Path, length: float) -> None:
    scale = [1.0, 1.0, 1.0, 0.5, length]
    changed = [{"type": "scale", "scale": scale}]
    edit(
        plate / FOVS[0],
        lambda ome: ome["multiscales"][0]["datasets"][0].update(coordinateTransformations=changed),
    )
    with pytest.raises(StoreError, match=f"fov='{FOVS[0]}'.*scale.*pixel_size_um"):
        described(plate)
    assert len(described(plate, pixel_size_um=0.5)) == len(FOVS)


def array_file(array: Path) -> Path:
    return array / ("zarr.json" if (array / "zarr.json").exists() else ".zarray")


@pytest.mark.parametrize(
    ("shape", "match"),
    [
        ([10**9, 2, 1, 32, 32], "1,000,000,000 frames; at most 1,000,000"),
        ([1, 2, 1, 10**6, 10**6], "pixels in a frame"),
        ([1, 10**5, 1, 1, 1], "100,000 channels"),
        ([1, 1, 32, 32], "five whole numbers"),
        ([1, 1, 1, 32, -32], "five whole numbers"),
        ([1, 1, 1, 32, 1e3], "five whole numbers"),
        ([10**4999, 1, 1, 1, 1], "digits|frames"),
        ({}, "five whole numbers"),
    ],
)
def test_sizes_are_checked_before_memory_is_taken_for_them(plate: Path, shape: Any, match: str) -> None:
    file = array_file(plate / FOVS[0] / "0")
    text = json.dumps(json.loads(file.read_text()) | {"shape": "SHAPE"})
    said = "[1" + "0" * 4999 + ", 1, 1, 1, 1]" if isinstance(shape, list) and shape[0] > 10**9 else None
    file.write_text(text.replace('"SHAPE"', said or json.dumps(shape)))
    with pytest.raises(StoreError, match=f"fov='{FOVS[0]}'.*({match})"):
        described(plate)


@pytest.mark.parametrize("chunk", [[1, 1, 1, 10**6, 10**6], [0, 1, 1, 8, 8], [1, 1, 8, 8], None])
def test_a_chunk_larger_than_memory_is_refused(plate: Path, chunk: Any) -> None:
    file = array_file(plate / FOVS[0] / "0")
    content = json.loads(file.read_text())
    if file.name == "zarr.json":
        content["chunk_grid"]["configuration"]["chunk_shape"] = chunk
    else:
        content["chunks"] = chunk
    file.write_text(json.dumps(content))
    with pytest.raises(StoreError, match=f"fov='{FOVS[0]}'.*(chunk of|chunks?(_shape)?=)"):
        described(plate)


def test_a_shard_of_too_many_chunks_is_refused(tmp_path: Path) -> None:
    store = write_plate(tmp_path / "p.zarr", "0.5", dict.fromkeys(FOVS, (0.5, 0.25)))
    file = store / FOVS[0] / "0" / "zarr.json"
    content = json.loads(file.read_text())
    content["chunk_grid"]["configuration"]["chunk_shape"] = [10**6, 1, 1, 10**3, 10**3]
    inner = {"chunk_shape": [1, 1, 1, 1, 1], "codecs": content["codecs"], "index_codecs": []}
    content["codecs"] = [{"name": "sharding_indexed", "configuration": inner}]
    file.write_text(json.dumps(content))
    with pytest.raises(StoreError, match=r"a shard of .* chunks; at most"):
        described(store)


@pytest.mark.parametrize(
    "dtype", ["<c8", "complex64", "|S4", "<M8[ns]", "|V1000000000", [["a", "<u2"]], None, "|O"]
)
def test_pixels_that_are_no_numbers_are_refused(plate: Path, dtype: Any) -> None:
    file = array_file(plate / FOVS[0] / "0")
    content = json.loads(file.read_text())
    content["data_type" if file.name == "zarr.json" else "dtype"] = dtype
    file.write_text(json.dumps(content))
    with pytest.raises(StoreError, match=f"fov='{FOVS[0]}'.*dtype="):
        described(plate)


@pytest.mark.parametrize("where", ["", FOVS[0], f"{FOVS[0]}/0"])
@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("[" * 10**5, "nested too deep|cannot be read"),
        ("[]", "where an object is due"),
        ("3", "object is due"),
    ],
)
def test_metadata_that_are_no_object_are_refused(plate: Path, where: str, content: str, match: str) -> None:
    array_file(plate / where).write_text(content)
    metadata_file(plate / where).write_text(content)
    with pytest.raises(StoreError, match=match):
        described(plate)


def test_metadata_of_hundreds_of_megabytes_are_not_read(plate: Path) -> None:
    with metadata_file(plate).open("r+b") as file:
        file.truncate(300 << 20)
    with pytest.raises(StoreError, match=r"314,572,800 bytes; at most 67,108,864 are read"):
        described(plate)


def test_metadata_that_are_a_pipe_or_a_loop_end(plate: Path) -> None:
    file = metadata_file(plate / FOVS[0])
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(StoreError, match="not a regular file"):
        described(plate)
    file.unlink()
    file.symlink_to(file)
    with pytest.raises(StoreError, match=f"{FOVS[0]}"):
        described(plate)
    loop = plate.parent / "loop.zarr"
    loop.symlink_to(loop)
    with pytest.raises(StoreError, match=r"does not exist|cannot be read"):
        described(loop)


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
