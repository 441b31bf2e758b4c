"""YAML, strictly: a key given twice is an error rather than the last one winning."""

from pathlib import Path
from typing import Any

import yaml

from viscy_data.errors import ExperimentsFileError


def read_yaml(path: Path, what: str = "experiments file") -> Any:
    """Return the content of a YAML file as plain values; ``what`` it is, for errors.

    Raises
    ------
    ExperimentsFileError
        Where the file cannot be read, is not valid YAML, or gives a key twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ExperimentsFileError(f"path={str(path)!r}: the {what} cannot be read: {error}") from error
    try:
        return _load(text)
    except Exception as error:  # of a malformed scalar the parser raises whatever comes of it
        raise ExperimentsFileError(f"{path}: not valid YAML: {error}") from error


def _load(text: str) -> Any:
    loader = _UniqueKeyLoader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


class _UniqueKeyLoader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for (key_node, _), key in zip(node.value, keys, strict=True):
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} is given twice", key_node.start_mark
                )
        return super().construct_mapping(node, deep=deep)
