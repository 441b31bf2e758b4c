"""Readers of files that people and disks have broken: no exception but ours, whatever the bytes."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import mutated
from readable_files import READERS

from viscy_data.errors import ViscyDataError

FUZZ = settings(
    max_examples=100,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)


@pytest.mark.parametrize("name", READERS)
def test_what_is_whole_is_read(name: str, tmp_path: Path) -> None:
    readable = READERS[name]
    path = tmp_path / readable.file
    path.parent.mkdir(exist_ok=True)
    readable.write(path)
    readable.read(path)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", READERS)
@FUZZ
@given(data=st.data())
def test_no_exception_but_ours(name: str, tmp_path: Path, data: st.DataObject) -> None:
    readable = READERS[name]
    path = tmp_path / readable.file
    valid = path.with_name("valid")
    if not valid.exists():
        path.parent.mkdir(exist_ok=True)
        readable.write(path)
        valid.write_bytes(path.read_bytes())
    path.write_bytes(data.draw(mutated(valid.read_bytes(), readable.scraps)))
    said = ""
    try:
        readable.read(path)
    except ViscyDataError as error:
        said = str(error)
    assert not said or tmp_path.name in said  # the file is named
