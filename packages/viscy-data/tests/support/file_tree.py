"""What a folder holds, to be compared before and after."""

from pathlib import Path


def tree(folder: Path) -> dict[str, bytes]:
    """Return all files of a folder with their content."""
    return {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()}
