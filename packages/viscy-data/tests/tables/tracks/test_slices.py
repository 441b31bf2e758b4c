"""The slice of a cell: a z of 0 throughout is a placeholder."""

from pathlib import Path

import pytest

from viscy_data.errors import TracksError
from viscy_data.tables.experiment import Experiment, FovInfo
from viscy_data.tables.tracks.read import read_tracks


def read(folder: Path, of_tracks: list[float], depth: int = 7, **options: object) -> list[float]:
    lines = [f"{track},0,{10 * track},40,{value}" for track, value in enumerate(of_tracks)]
    (folder / "t.csv").write_text("track_id,t,y,x,z\n" + "\n".join(lines))
    values = {"name": "a", "data_path": "a", "tracks_path": str(folder / "t.csv"), "channels": ["c"]}
    info = FovInfo("a", "", (6, 1, depth, 64, 64), ("c",))
    return list(read_tracks(Experiment.model_validate(values | options), [info])["z"])


@pytest.mark.parametrize("z", [[0, 0, 0], [0.0], [-0.0, 0.0], [1e-9, 1e-9]])
def test_0_throughout_beside_a_stack_is_refused_with_what_to_set(z: list[float], tmp_path: Path) -> None:
    match = r"t\.csv: column 'z': 0 in every row, while images have 7 .*'middle'.* 0 to 6 .*'tracks'"
    with pytest.raises(TracksError, match=match):
        read(tmp_path, z)
    assert read(tmp_path, z, depth=1) == pytest.approx(z)
    assert read(tmp_path, z, z="tracks") == pytest.approx(z)
    assert str(read(tmp_path, z, z="middle")) == str([float("nan")] * len(z))
    assert read(tmp_path, z, z=4) == [4] * len(z)


@pytest.mark.parametrize("z", [[0, 1], [3, 3, 3], [0, 0, 6]])
def test_another_z_is_believed(z: list[float], tmp_path: Path) -> None:
    assert read(tmp_path, z) == z


def test_a_slice_that_the_stack_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TracksError, match="z=7 is not a slice of the stack"):
        read(tmp_path, [1, 2], z=7)
