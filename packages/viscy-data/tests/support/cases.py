"""Small inputs that once went wrong, kept beside the repository and not in it."""

import tarfile
from pathlib import Path

import pytest

CASES = Path(__file__).parents[5] / "shared" / "data" / "cases"


def unpack_case(number: str, folder: Path) -> Path:
    """Unpack the case of a number, such as ``"01"``; skip the test where the archives are absent."""
    found = sorted(CASES.glob(f"{number}-*.tar.gz"))
    if not found:
        pytest.skip(f"no archive {number}-*.tar.gz in {CASES}")
    with tarfile.open(found[0]) as archive:
        archive.extractall(folder, filter="data")
    (unpacked,) = folder.iterdir()
    return unpacked
