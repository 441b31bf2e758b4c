"""TrackMate files as the plugin lays them out, and what may be wrong with one."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from viscy_data.errors import TracksError
from viscy_data.tables.experiment import Experiment, FovInfo
from viscy_data.tables.tracks.read import load_tracks, read_tracks

UM, DEPTH = 0.5, 2.0
SPOTS = {  # id: frame, slice, row, column
    2004: (0, 1, 10, 20),
    2009: (1, 1, 11, 21),
    2001: (3, 2, 12, 22),  # after a gap
    2020: (4, 2, 8, 22),
    2013: (4, 3, 16, 23),
    2015: (5, 3, 17, 24),
    2100: (0, 0, 40, 40),
    2101: (1, 0, 41, 40),
    2200: (2, 0, 50, 50),  # in no track
}
TRACKS = {0: [(2004, 2009), (2009, 2001), (2001, 2020), (2001, 2013), (2013, 2015)], 1: [(2100, 2101)]}
ROWS = [  # track, parent, t, z, y, x
    (0, -1, 0, 1, 10, 20),
    (0, -1, 1, 1, 11, 21),
    (0, -1, 3, 2, 12, 22),
    (2, 0, 4, 3, 16, 23),
    (3, 0, 4, 2, 8, 22),
    (2, 0, 5, 3, 17, 24),
]


def document(
    kept: str = '<TrackID TRACK_ID="0" />',
    *,
    slices: int = 5,
    um: float = UM,
    units: str = "µm",
    top: str = "",
) -> str:
    """Write what TrackMate 7 saves, short of statistics and settings of the tracker."""
    frames: dict[int, str] = {}
    for spot, (t, z, y, x) in SPOTS.items():
        frames[t] = frames.get(t, "") + (
            f'        <Spot ID="{spot}" name="ID{spot}" STD_INTENSITY_CH1="1.5" QUALITY="7.4" '
            f'POSITION_T="{t * 600.0}" MANUAL_SPOT_COLOR="-10921639" FRAME="{t}" RADIUS="2.5" VISIBILITY="1" '
            f'POSITION_X="{x * um}" POSITION_Y="{y * um}" POSITION_Z="{z * DEPTH}">0.1 0.2 0.3</Spot>\n'
        )
    spots = "".join(f'<SpotsInFrame frame="{t}">\n{text}</SpotsInFrame>\n' for t, text in frames.items())
    tracks = "".join(
        f'<Track name="Track_{name}" TRACK_ID="{name}" NUMBER_SPLITS="1">\n'
        + "".join(f'<Edge SPOT_SOURCE_ID="{a}" SPOT_TARGET_ID="{b}" LINK_COST="0.3" />\n' for a, b in links)
        + "</Track>\n"
        for name, links in TRACKS.items()
    )
    image = f'nslices="{slices}" pixelwidth="{um}" pixelheight="{um}" voxeldepth="{DEPTH}"'
    return f"""<?xml version="1.0" encoding="UTF-8"?>{top}
<TrackMate version="7.11.1">
  <Log>Hello &lt;world&gt;</Log>
  <Model spatialunits="{units}" timeunits="sec">
    <FeatureDeclarations>
      <SpotFeatures><Feature feature="QUALITY" isint="false" /></SpotFeatures>
    </FeatureDeclarations>
    <AllSpots nspots="{len(SPOTS)}">{spots}</AllSpots>
    <AllTracks>{tracks}</AllTracks>
    <FilteredTracks>{kept}</FilteredTracks>
  </Model>
  <Settings>
    <ImageData filename="a.tif" folder="/" width="64" height="64" nframes="6" timeinterval="600.0" {image} />
    <BasicSettings xstart="0" xend="63" tstart="0" tend="5" />
  </Settings>
</TrackMate>
"""


def read(path: Path, *fovs: str, depth: int = 5) -> pd.DataFrame:
    experiment = Experiment(name="a", data_path=Path("a"), tracks_path=path, channels=("c",))
    infos = [FovInfo(fov, "", (6, 1, depth, 64, 64), ("c",)) for fov in fovs or ("a",)]
    return read_tracks(experiment, infos)


def read_text(text: str, folder: Path, depth: int = 5) -> pd.DataFrame:
    (folder / "tracks.xml").write_text(text, encoding="utf-8")
    return read(folder / "tracks.xml", depth=depth)


def rows_of(tracks: pd.DataFrame) -> list[tuple[float, ...]]:
    columns = ["track_id", "parent_track_id", "t", "z", "y", "x"]
    return [tuple(row) for row in tracks[columns].to_numpy(dtype=float).tolist()]


def test_visible_tracks_are_read_in_pixels(tmp_path: Path) -> None:
    """A division and a gap; neither a filtered track nor a spot in none."""
    assert rows_of(read_text(document(), tmp_path)) == ROWS


def test_all_tracks_are_visible_where_nothing_says_otherwise(tmp_path: Path) -> None:
    both = read_text(document('<TrackID TRACK_ID="0" /><TrackID TRACK_ID="1" />'), tmp_path)
    assert len(both) == len(ROWS) + 2
    start, end = "<FilteredTracks>", "</FilteredTracks>"
    text = document()
    unfiltered = text[: text.index(start)] + text[text.index(end) + len(end) :]
    pd.testing.assert_frame_equal(read_text(unfiltered, tmp_path), both)
    with pytest.raises(TracksError, match="no tracks for any fov"):
        read_text(document(""), tmp_path)


def test_slices_are_left_out_where_one_of_both_is_flat(tmp_path: Path) -> None:
    assert read_text(document(), tmp_path, depth=1)["z"].isna().all()
    flat = re.sub(r'POSITION_Z="[^"]*"', 'POSITION_Z="0.0"', document(slices=1))
    assert read_text(flat, tmp_path)["z"].isna().all()


def test_spots_in_several_slices_are_believed_more_than_a_number_of_slices(tmp_path: Path) -> None:
    """Fiji takes frames for slices, and the other way round."""
    assert rows_of(read_text(document(slices=1), tmp_path)) == ROWS


def test_pixels_need_no_image(tmp_path: Path) -> None:
    text = document(um=1, units="pixel")
    start, end = text.index("<ImageData"), text.index("<BasicSettings")
    flat = read_text(text[:start] + text[end:], tmp_path)
    np.testing.assert_array_equal(flat["y"], [row[4] for row in ROWS])
    with pytest.raises(TracksError, match=r"no element 'ImageData' states .* in 'µm': a pixel size"):
        read_text(text.replace('"pixel"', '"µm"').replace(text[start:end], ""), tmp_path)


@pytest.mark.parametrize("place", ["{}/tracks.xml", "{}.xml"])
def test_one_for_each_field_of_view(place: str, tmp_path: Path) -> None:
    target = tmp_path / place.format("B/2/0")
    target.parent.mkdir(parents=True)
    target.write_text(document(), encoding="utf-8")
    (target.parent / "B2.other.xml").write_text("<plate/>")  # what microscopes leave beside
    assert rows_of(read(tmp_path, "B/2/0", "B/2/1")) == ROWS
    with pytest.raises(TracksError, match="a TrackMate file is one fov; the store has 2"):
        read(target, "B/2/0", "B/2/1")


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ('SPOT_SOURCE_ID="2013"', 'SPOT_SOURCE_ID="77"', "a link leads to spot 77, which is not there"),
        ("</AllTracks>", "", "the TrackMate file cannot be read: mismatched tag"),
        ('ID="2009"', 'ID="two"', "element 'Spot' two, attribute 'ID': 'two' is not a number"),
        ('FRAME="3"', 'FRAME="3.5"', "element 'Spot' 2001, attribute 'FRAME': '3.5' is not a whole number"),
        ('FRAME="3"', 'FRAME="nan"', "element 'Spot' 2001, attribute 'FRAME': 'nan' is not a whole number"),
        ('FRAME="5"', 'FRAME="9"', "spot 2015, column 't': t=9 lies outside the movie"),
        ('POSITION_X="10.0"', 'POSITION_X="NaN"', "spot 2004, column 'x': the place is missing"),
        ('POSITION_X="10.0"', "", "element 'Spot' 2004, attribute 'POSITION_X': None is not a number"),
        ('pixelwidth="0.5"', 'pixelwidth="0"', "element 'ImageData': pixelwidth=0.0: a length above 0"),
        ('SPOT_TARGET_ID="2020"', 'SPOT_TARGET_ID="2015"', "spots 2001 and 2013 merge into spot 2015"),
    ],
)
def test_what_is_wrong_is_named(old: str, new: str, match: str, tmp_path: Path) -> None:
    text = document()
    assert old in text
    with pytest.raises(TracksError, match=rf"tracks\.xml: {match}"):
        read_text(text.replace(old, new), tmp_path)


def test_a_document_type_is_refused_before_anything_is_expanded(tmp_path: Path) -> None:
    bomb = "".join(f'<!ENTITY a{i + 1} "{f"&a{i};" * 10}">' for i in range(12))
    top = f'<!DOCTYPE TrackMate [<!ENTITY a0 "a">{bomb}]>'
    with pytest.raises(TracksError, match=r"a document type .* is declared"):
        read_text(document(top=top).replace("Hello", "&a12;"), tmp_path)


def test_another_file_is_no_tracking_table(tmp_path: Path) -> None:
    with pytest.raises(TracksError, match=r"not a tracking table; known are .*TrackMate"):
        read_text("<other/>", tmp_path)


def test_spots_that_are_not_read_are_counted(tmp_path: Path) -> None:
    (tmp_path / "t.xml").write_text(document(), encoding="utf-8")
    values = Experiment(name="a", data_path=Path("a"), tracks_path=tmp_path / "t.xml", channels=("c",))
    found = load_tracks(values, [FovInfo("a", "", (6, 1, 5, 64, 64), ("c",))])
    assert found.notes == ("left out of the tracks: 3 spots in no track, or in one that was filtered out",)


@pytest.mark.parametrize(
    ("old", "new", "sizes"),
    [
        ('width="64"', 'width="128"', "128 x 64 x 6, but fov 'a' has 64 x 64 x 6"),
        ('height="64"', 'height="32"', "64 x 32 x 6"),
        ('nframes="6"', 'nframes="7"', "64 x 64 x 7"),
    ],
)
def test_tracks_of_another_image_are_refused(old: str, new: str, sizes: str, tmp_path: Path) -> None:
    with pytest.raises(TracksError, match=f"tracked in the image 'a.tif' .* {sizes}.*another image"):
        read_text(document().replace(old, new), tmp_path)
    assert rows_of(read_text(document().replace(old, ""), tmp_path)) == ROWS  # the file does not say


def test_a_flat_z_in_a_stack_is_a_placeholder_here_too(tmp_path: Path) -> None:
    flat = re.sub(r'POSITION_Z="[^"]*"', 'POSITION_Z="0.0"', document())
    with pytest.raises(TracksError, match="0 in every row, while images have 5 slices"):
        read_text(flat, tmp_path)


@pytest.mark.parametrize("unit", ["micron", "\u00b5m", "um", "pixel"])
def test_lengths_without_an_image_are_divided_by_the_pixel_of_the_store(unit: str, tmp_path: Path) -> None:
    text = re.sub("<ImageData[^>]*>", "", document(um=1, units=unit))
    (tmp_path / "t.xml").write_text(text, encoding="utf-8")
    experiment = Experiment(
        name="a", data_path=Path("a"), tracks_path=tmp_path / "t.xml", channels=("c",), z="middle"
    )
    info = FovInfo("a", "", (6, 1, 5, 64, 64), ("c",), (0.5, 0.5))
    factor = 1 if unit == "pixel" else 2
    np.testing.assert_allclose(read_tracks(experiment, [info])["y"], [factor * row[4] for row in ROWS])


MIB = "9" * (1 << 20)


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ('FRAME="3"', f'FRAME="{MIB * 20}"', "an element, or its text, is larger than 16 MiB"),
        ('FRAME="3"', f'FRAME="{MIB}"', "attribute 'FRAME': '9{64}' is not a number"),
        ('ID="2009"', f'ID="{MIB}"', "element 'Spot' 9{64}, attribute 'ID'"),
        ('nslices="5"', f'nslices="{"9" * 5000}"', "attribute 'nslices': '9{64}' is not a number"),
        ("Hello", MIB * 20, "an element, or its text, is larger than 16 MiB"),
        ("<Log>", f"<!--{MIB * 20}--><Log>", "an element, or its text, is larger than 16 MiB"),
        ("<Log>", "<a>" * 200 + "</a>" * 200 + "<Log>", "elements lie more than 100 deep"),
        ("Hello", "\0", "cannot be read: not well-formed"),
    ],
    ids=["frame", "long number", "id", "digits", "text", "comment", "deep", "nul"],
)
def test_files_that_are_made_to_hurt_are_refused_in_short(
    old: str, new: str, match: str, tmp_path: Path
) -> None:
    with pytest.raises(TracksError, match=match) as caught:
        read_text(document().replace(old, new), tmp_path)
    assert len(str(caught.value)) < 500


def test_nothing_outside_the_file_is_fetched(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    for top in (f'<!DOCTYPE TrackMate [<!ENTITY x SYSTEM "{tmp_path}/secret">]>', '<!DOCTYPE a SYSTEM "b">'):
        with pytest.raises(TracksError, match="a document type"):
            read_text(document(top=top).replace("Hello", "&x;"), tmp_path)


def test_options_for_tables_are_refused_rather_than_passed_over(tmp_path: Path) -> None:
    (tmp_path / "t.xml").write_text(document(), encoding="utf-8")
    experiment = Experiment(
        name="a", data_path=Path("a"), tracks_path=tmp_path / "t.xml", channels=("c",), track_unit="um"
    )
    with pytest.raises(TracksError, match="a TrackMate file says itself what track_unit would say"):
        read_tracks(experiment, [FovInfo("a", "", (6, 1, 5, 64, 64), ("c",))])
