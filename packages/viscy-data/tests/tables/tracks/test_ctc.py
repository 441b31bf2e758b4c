"""Cell Tracking Challenge folders as programs write them: read rightly, or refused with the file's name."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from viscy_data.errors import TracksError
from viscy_data.tables.experiment import FovInfo
from viscy_data.tables.tracks.ctc import read_ctc

INFO = FovInfo(fov="A/1/0", well="A/1", shape=(4, 1, 1, 20, 24), channels=("a",))
LINES = "1 0 1 0\n2 2 3 1\n3 2 3 1\n"


def masks(dtype: str = "uint16", shift: int = 0) -> list[np.ndarray[Any, Any]]:
    """A cell that divides after two frames: 1, then 2 and 3."""
    frames = np.zeros((4, 20, 24), dtype=dtype)
    frames[:2, 4:7, 5:8] = 1 + shift
    frames[2:, 4:7, 5:8] = 2 + shift
    frames[2:, 10:13, 5:8] = 3 + shift
    return list(frames)


def write(
    folder: Path,
    lines: str | bytes = LINES,
    images: list[np.ndarray[Any, Any]] | None = None,
    *,
    listed: str = "man_track.txt",
    name: str = "man_track{:03d}.tif",
    **options: Any,
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / listed).write_bytes(lines.encode() if isinstance(lines, str) else lines)
    for t, image in enumerate(masks() if images is None else images):
        tifffile.imwrite(folder / name.format(t), image, photometric="minisblack", **options)
    return folder / listed


def rows(path: Path, info: FovInfo = INFO) -> list[tuple[int, int, int, float, float]]:
    found = read_ctc(path, info, 0)
    columns = (found.track_id, found.parent_track_id, found.t, found.y, found.x)
    return list(zip(*(column.tolist() for column in columns), strict=True))


EXPECTED = [
    (1, -1, 0, 5.0, 6.0),
    (1, -1, 1, 5.0, 6.0),
    (2, 1, 2, 5.0, 6.0),
    (3, 1, 2, 11.0, 6.0),
    (2, 1, 3, 5.0, 6.0),
    (3, 1, 3, 11.0, 6.0),
]


@pytest.mark.parametrize(
    "lines",
    [
        b"\xef\xbb\xbf" + LINES.encode(),
        LINES.replace(" ", "\t").replace("\n", "\r\n"),
        LINES.replace("\n", "   \n\n"),
        "# L B E P\n" + LINES.replace("\n", " 17 0.5\n"),
        "\n".join(" ".join(f"{float(word):.18e}" for word in line.split()) for line in LINES.splitlines()),
        LINES.replace("1 0 1 0", "1 0 1 -1"),
        LINES.replace("1 0 1 0", "1 0 1 1"),
    ],
    ids=["byte order mark", "tabs, CRLF", "spaces, blank lines", "more columns", "as floats", "-1", "own id"],
)
def test_lists_as_programs_write_them(tmp_path: Path, lines: str | bytes) -> None:
    assert rows(write(tmp_path, lines)) == EXPECTED


@pytest.mark.parametrize("compression", ["lzw", "zstd", "deflate", "lzma", "packbits", "jpegxl"])
@pytest.mark.parametrize("dtype", ["uint16", "uint8"])
def test_masks_in_the_codecs_of_tifffile(tmp_path: Path, compression: str, dtype: str) -> None:
    images = [image.astype(dtype) for image in masks()]
    assert rows(write(tmp_path, images=images, compression=compression)) == EXPECTED


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "int32", "int64", "uint64"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_labels_of_any_whole_numbers(tmp_path: Path, dtype: str, byteorder: str) -> None:
    assert rows(write(tmp_path, images=masks(dtype), byteorder=byteorder, predictor=False)) == EXPECTED


def test_large_labels(tmp_path: Path) -> None:
    shift = 2**31 - 10
    lines = f"{1 + shift} 0 1 0\n{2 + shift} 2 3 {1 + shift}\n{3 + shift} 2 3 {1 + shift}\n"
    found = rows(write(tmp_path, lines, masks("uint32", shift)))
    assert [row[0] - shift for row in found] == [row[0] for row in EXPECTED]


@pytest.mark.parametrize(("listed", "own"), [("man_track.txt", "man_track"), ("res_track.txt", "mask")])
def test_a_segmentation_in_the_same_folder_does_not_count(tmp_path: Path, listed: str, own: str) -> None:
    other = {"man_track": "mask", "mask": "man_track"}[own]
    path = write(tmp_path, listed=listed, name=own + "{:03d}.tif")
    write(tmp_path, images=[image[::-1] for image in masks()], listed=listed, name=other + "{:03d}.tif")
    write(tmp_path, images=[image[::-1] for image in masks()], listed=listed, name="man_seg{:03d}.tif")
    for name in (f"._{own}000.tif", ".DS_Store"):
        (tmp_path / name).write_bytes(b"Mac")
    assert rows(path) == EXPECTED


def test_masks_are_numbered_with_any_number_of_digits_once(tmp_path: Path) -> None:
    assert rows(write(tmp_path, name="man_track{}.tif")) == EXPECTED
    tifffile.imwrite(tmp_path / "man_track0001.tif", masks()[1])
    with pytest.raises(
        TracksError, match=r"man_track1\.tif: man_track0001\.tif is the mask of the same frame"
    ):
        rows(tmp_path / "man_track.txt")


def test_a_parent_that_only_the_list_knows_is_accepted(tmp_path: Path) -> None:
    images = masks()
    images[0][:], images[1][:] = 0, 0
    found = read_ctc(write(tmp_path, images=images), INFO, 0)
    assert found.parent_track_id.tolist() == [1] * 4, "sisters know each other by it"
    assert found.known is not None
    assert found.known.tolist() == [1]
    assert found.left_out == {"cells of the track list that no mask shows": 2}


def test_frames_without_a_mask_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path)
    (tmp_path / "man_track001.tif").unlink()
    assert read_ctc(path, INFO, 0).left_out == {
        "cells of the track list that no mask shows": 1,
        "frames without a mask": 1,
    }


def test_links_lead_through_tracks_that_no_mask_shows(tmp_path: Path) -> None:
    found = rows(write(tmp_path, "1 0 1 0\n7 1 1 1\n8 1 1 7\n2 2 3 8\n3 2 3 8\n"))
    assert found == EXPECTED


@pytest.mark.parametrize(
    ("lines", "match"),
    [
        ("1 0 1 0\n2 2 3 1.5\n3 2 3 1\n", "line 2: '2 2 3 1.5' is not 'label begin end parent'"),
        ("1,0,1,0\n", "line 1: '1,0,1,0' is not 'label begin end parent'"),
        ("1 1 0 0\n2 2 3 1\n3 2 3 1\n", "line 1, columns 'begin', 'end': '1 1 0 0' ends before it begins"),
        ("1 0 1e400 0\n", "line 1: "),
        ("1 0 " + "9" * 5000 + " 0\n", "line 1: "),
        (b"\xff\xfe1\x00", "the track list cannot be read"),
        (b"1 0\x00 1 0\n", "line 1: "),
    ],
)
def test_what_is_no_list_names_its_line(tmp_path: Path, lines: str | bytes, match: str) -> None:
    with pytest.raises(TracksError, match=match) as caught:
        rows(write(tmp_path, lines))
    assert len(str(caught.value)) < 600


def test_colours_are_no_labels(tmp_path: Path) -> None:
    path = write(tmp_path)
    tifffile.imwrite(tmp_path / "man_track000.tif", np.zeros((20, 24, 3), np.uint8), photometric="rgb")
    with pytest.raises(TracksError, match=r"man_track000\.tif: a label mask is \(Y, X\)"):
        rows(path)


def test_volumes_give_slices(tmp_path: Path) -> None:
    info = FovInfo(fov="A/1/0", well="A/1", shape=(4, 1, 5, 20, 24), channels=("a",))
    volumes = [np.stack([image * 0, image, image * 0]) for image in masks()]
    found = read_ctc(write(tmp_path, images=volumes, compression="zstd"), info, 0)
    assert found.z is not None
    assert set(found.z.tolist()) == {1.0}
