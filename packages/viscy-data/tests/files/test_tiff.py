"""TIFF files as programs write them and as enemies do: what they state, and what is refused."""

import re
import struct
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import tifffile

from viscy_data.errors import InvalidInputError
from viscy_data.files.tiff import TiffImage, describe_tiff, open_tiff

STACK = np.arange(3 * 16 * 20, dtype=np.uint16).reshape(3, 16, 20)


def write(path: Path, pixels: Any = STACK, **options: Any) -> TiffImage:
    tifffile.imwrite(path, pixels, **{"photometric": "minisblack"} | options)
    return describe_tiff(path)


def ome(sizes: str, body: str = "<TiffData/>", head: str = "", **attributes: str) -> bytes:
    more = " ".join(f'{name}="{value}"' for name, value in attributes.items())
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{head}<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/'
        f'2016-06"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="20" '
        f'SizeY="16" {sizes} {more}>{body}</Pixels></Image></OME>'
    ).encode("ascii", "xmlcharrefreplace")


def test_axes_that_imagej_and_tifffile_state(tmp_path: Path) -> None:
    pixels = np.zeros((4, 3, 2, 16, 20), np.uint16)
    image = write(tmp_path / "imagej.tif", pixels, imagej=True, metadata={"axes": "TZCYX"})
    assert (image.axes, image.shape) == ("TZCYX", pixels.shape)
    image = write(tmp_path / "own.tif", pixels[0], metadata={"axes": "ZCYX"}, compression="zlib")
    assert (image.axes, image.shape) == ("ZCYX", pixels.shape[1:])


def test_axes_that_nobody_states_have_no_letter(tmp_path: Path) -> None:
    assert write(tmp_path / "shaped.tif").axes == "QYX"
    assert write(tmp_path / "pages.tif", metadata=None).axes == "QYX"


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_samples_of_a_pixel_have_a_letter(tmp_path: Path, planar: str) -> None:
    pixels = np.zeros((16, 20, 3) if planar == "contig" else (3, 16, 20), np.uint8)
    image = write(tmp_path / "rgb.tif", pixels, photometric="rgb", planarconfig=planar)
    assert image.axes == ("YXS" if planar == "contig" else "SYX")


@pytest.mark.parametrize("unit", ["micron", "um", "µm", "\\u00B5m", "nm"])
def test_sizes_that_imagej_states(tmp_path: Path, unit: str) -> None:
    scale = 1000 if unit == "nm" else 1
    lines = f"ImageJ=1.54\nimages=3\nslices=3\nunit={unit}\nspacing={2 * scale}\nfinterval=90\ntunit=sec\n"
    stated = write(
        tmp_path / "a.tif",
        description=lines.encode("utf-8"),
        metadata=None,
        resolution=(4 / scale, 4 / scale),
        resolutionunit=1,
    ).stated
    assert (stated.pixel_size_um, stated.z_step_um, stated.interval_minutes) == (0.25, 2.0, 1.5)
    assert stated.remarks == ()


def test_sizes_that_ome_states(tmp_path: Path) -> None:
    body = '<Channel ID="Channel:0:0" Name="GFP"/><TiffData/>'
    sizes = {"PhysicalSizeX": "500", "PhysicalSizeY": "500", "PhysicalSizeZ": "0.002", "TimeIncrement": "2"}
    units = {"PhysicalSizeXUnit": "nm", "PhysicalSizeYUnit": "nm", "PhysicalSizeZUnit": "mm"}
    xml = ome('SizeZ="3" SizeC="1" SizeT="1"', body, TimeIncrementUnit="min", **sizes, **units)
    image = write(tmp_path / "a.ome.tif", description=xml, metadata=None)
    assert (image.axes, image.stated.channels) == ("ZYX", ("GFP",))
    stated = image.stated
    assert (stated.pixel_size_um, stated.z_step_um, stated.interval_minutes) == (0.5, 2.0, 2.0)


@pytest.mark.parametrize(
    ("attributes", "remark"),
    [
        (
            {"PhysicalSizeX": "1", "PhysicalSizeXUnit": "furlong"},
            "PhysicalSizeX=1 in 'furlong': the unit is not",
        ),
        ({"PhysicalSizeX": "1e400"}, "PhysicalSizeX=1e400: not a finite number above 0"),
        ({"PhysicalSizeX": "0"}, "PhysicalSizeX=0: not a finite number above 0"),
        ({"PhysicalSizeX": "nan"}, "PhysicalSizeX=nan: not a finite"),
        ({"PhysicalSizeX": "1", "PhysicalSizeY": "2"}, "pixels are not square, 2 x 1 micrometres"),
    ],
)
def test_sizes_that_cannot_be_used_are_said(tmp_path: Path, attributes: dict[str, str], remark: str) -> None:
    xml = ome('SizeZ="3" SizeC="1" SizeT="1"', **attributes)
    stated = write(tmp_path / "a.ome.tif", description=xml, metadata=None).stated
    assert stated.pixel_size_um is None
    assert any(remark in one for one in stated.remarks)


def test_a_file_of_a_set_is_its_own_frame_and_no_other_file_is_opened(tmp_path: Path) -> None:
    parts = "".join(
        f'<TiffData IFD="{z}" FirstZ="{z}" FirstT="{t}" PlaneCount="1"><UUID FileName="t{t}.ome.tif">'
        f"urn:uuid:{t}</UUID></TiffData>"
        for t in range(2)
        for z in range(3)
    )
    xml = ome('SizeZ="3" SizeC="1" SizeT="2"', parts)
    for t in range(2):
        image = write(tmp_path / f"t{t}.ome.tif", STACK + t, description=xml, metadata=None)
        assert (image.axes, image.shape) == ("ZYX", (3, 16, 20))
        with open_tiff(image.path) as tiff:
            np.testing.assert_array_equal(tiff.read(), STACK + t)


@pytest.mark.parametrize("compression", [None, "lzw", "zstd", "deflate", "lzma", "packbits"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("bigtiff", [False, True])
def test_pixels_survive_codecs_and_byte_orders(
    tmp_path: Path, compression: str | None, byteorder: Literal["<", ">"], bigtiff: bool
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, STACK, photometric="minisblack", compression=compression, byteorder=byteorder, bigtiff=bigtiff
    )
    with open_tiff(path) as tiff:
        found = tiff.read()
        assert found.dtype == STACK.dtype.newbyteorder("=")
        np.testing.assert_array_equal(found, STACK)
        np.testing.assert_array_equal(tiff.read(1, 0), STACK[1])
        np.testing.assert_array_equal(tiff.read(2, 1), STACK[:, 2])


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "uint16", "int16", "int32", "uint32", "float16", "float32", "float64", "bool"]
)
def test_pixels_of_any_number(tmp_path: Path, dtype: str) -> None:
    pixels = (STACK % 2).astype(dtype)
    image = write(tmp_path / "a.tif", pixels, compression="deflate" if dtype != "bool" else None)
    assert image.dtype == (np.uint8 if dtype == "bool" else dtype)
    with open_tiff(image.path) as tiff:
        np.testing.assert_array_equal(tiff.read(), pixels.astype(image.dtype))


def test_colour_tables_that_only_display_are_told_from_indices(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)
    pixels = np.zeros((16, 20), np.uint8)
    for name, table, expected in (
        ("ramp", [ramp, 0 * ramp, ramp], False),
        ("indices", [ramp[::-1], ramp, ramp], True),
    ):
        image = write(tmp_path / f"{name}.tif", pixels, photometric="palette", colormap=np.stack(table))
        assert image.is_indexed == expected


def page(width: int, height: int, begin: int, count: int, *, codec: int = 1, after: int = 0) -> bytes:
    """Return a page of 8-bit pixels in one strip, as a TIFF file holds it."""
    tags = {256: width, 257: height, 258: 8, 259: codec, 262: 1, 273: begin, 277: 1, 278: height, 279: count}
    body = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return struct.pack("<H", len(tags)) + body + struct.pack("<I", after)


HEAD = b"II*\0" + struct.pack("<I", 8)
LONG = len(page(1, 1, 8, 1))
HOSTILE = {
    "10^12 pixels": (HEAD + page(10**6, 10**6, 200, 100) + bytes(800), "1,000,000,000,000 bytes, but has"),
    "10^12 packed": (HEAD + page(10**6, 10**6, 200, 100, codec=8) + bytes(800), "no codec packs so much"),
    "loop": (HEAD + page(9, 9, 200, 81, after=8) + bytes(800), "pages lead back to an earlier one"),
    "long loop": (
        HEAD + page(9, 9, 300, 81, after=8 + LONG) + page(9, 9, 300, 81, after=8) + bytes(800),
        "pages lead back to an earlier one",
    ),
    "sparse": (HEAD + page(9, 9, 0, 0, codec=8) + bytes(80), "parts of it are missing"),
    "truncated": (HEAD + page(90, 90, 130, 8100) + bytes(80), "truncated"),
    "no page": (b"II*\0" + bytes(4), "without a page"),
    "empty": (b"", "not a TIFF file"),
    "text": (b"not a picture", "not a TIFF file"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_a_header_claims_is_compared_with_the_bytes(tmp_path: Path, name: str) -> None:
    content, match = HOSTILE[name]
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(InvalidInputError, match=rf"a\.tif: .*{match}"):
        describe_tiff(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("description", "match"),
    [
        (ome('SizeZ="3" SizeC="1" SizeT="1"', head='<!DOCTYPE x [<!ENTITY a "b">]>'), "declares entities"),
        (ome('SizeZ="1000000000" SizeC="1" SizeT="2"'), "states 2000000000 planes, the file holds 3"),
        (ome('SizeZ="-3" SizeC="1" SizeT="1"'), "states SizeZ='-3'"),
        (ome(f'SizeZ="{"9" * 5000}" SizeC="1" SizeT="1"'), "states SizeZ='99999"),
        (ome('SizeZ="3" SizeC="1" SizeT="1"').replace(b"</Image>", b""), "not well formed"),
        (b"<OME></OME>", "describes no image"),
        (
            b"ImageJ=1.54\nimages=1000000000\nslices=1000000000\n",
            "states 1000000000 images, the file holds 3",
        ),
        (b"ImageJ=1.54\nimages=3\nchannels=2\nslices=5\nhyperstack=true\n", "channels=2, slices=5, the file"),
        (b"ImageJ=1.54\nimages=3\nframes=2\n", "states frames=2, the file holds 3"),
        (b"ImageJ=1.54\nimages=3\nslices=0\nframes=3\n", "states slices=0, frames=3, the file holds 3"),
        (b'{"shape": [1000000000, 16, 20], "axes": "ZYX"}', "claims an image of"),
    ],
)
def test_text_that_does_not_fit_the_pages_is_refused(tmp_path: Path, description: bytes, match: str) -> None:
    with pytest.raises(InvalidInputError, match=rf"a\.tif: .*{re.escape(match)}") as caught:
        write(tmp_path / "a.tif", description=description, metadata=None)
    assert len(str(caught.value)) < 500


def test_several_images_are_refused_and_smaller_copies_are_not(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "two.tif") as file:
        file.write(STACK[0])
        file.write(STACK[0, :8, :8])
    with pytest.raises(InvalidInputError, match=r"two\.tif: holds 2 images"):
        describe_tiff(tmp_path / "two.tif")
    with tifffile.TiffWriter(tmp_path / "copies.tif") as file:
        file.write(STACK[0], subifds=1)
        file.write(STACK[0, ::2, ::2], subfiletype=1)
    assert describe_tiff(tmp_path / "copies.tif").shape == (16, 20)


def test_complex_pixels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"a\.tif: pixels are complex64"):
        write(tmp_path / "a.tif", STACK.astype(np.complex64))


def test_pixels_that_are_white_at_0_are_kept_and_said(tmp_path: Path) -> None:
    image = write(tmp_path / "a.tif", STACK[0], photometric="miniswhite")
    assert image.stated.remarks == ("0 is white in the files; pixels are kept as they are",)
    with open_tiff(image.path) as tiff:
        np.testing.assert_array_equal(tiff.read(), STACK[0])
    assert write(tmp_path / "b.tif", STACK[0]).stated.remarks == ()
