"""The OME metadata of a store as NGFF 0.5, whatever version they were written in.

Only attributes of groups are carried over: everything that was there stays, except the pyramid's lower
levels, which are not copied. NGFF 0.5 keeps its own keys under ``ome`` and the version there alone.
"""

import json
from pathlib import Path
from typing import Any, Final

_KEYS: Final = ("multiscales", "omero", "plate", "well", "bioformats2raw.layout", "series", "image-label")
_VERSION: Final = "version"


def write_group(group: Path, attributes: dict[str, Any]) -> None:
    """Write a Zarr 3 group; its folder is made."""
    group.mkdir(parents=True, exist_ok=True)
    content = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    (group / "zarr.json").write_text(json.dumps(content, indent=1), encoding="utf-8")


def first_level(attributes: dict[str, Any]) -> str:
    """Return the name of a position's array of full resolution."""
    ome = attributes.get("ome", attributes)
    return str(ome["multiscales"][0]["datasets"][0]["path"])


def to_ngff_05(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return a group's attributes as NGFF 0.5 has them, with one level of resolution.

    Examples
    --------
    >>> to_ngff_05({"well": {"images": [], "version": "0.4"}, "mine": 1})
    {'mine': 1, 'ome': {'version': '0.5', 'well': {'images': []}}}
    """
    if "ome" in attributes:
        own = dict(attributes["ome"])
        others = {key: value for key, value in attributes.items() if key != "ome"}
    else:
        own = {key: value for key, value in attributes.items() if key in _KEYS}
        others = {key: value for key, value in attributes.items() if key not in _KEYS}
        others.pop(_VERSION, None)  # some writers state it here, too
    if not own:
        return others
    own = {key: _without_version(value) for key, value in own.items() if key != _VERSION}
    if "multiscales" in own:
        first = own["multiscales"][0]
        own["multiscales"] = [_without_version(first) | {"datasets": first["datasets"][:1]}]
    return {**others, "ome": {_VERSION: "0.5", **own}}


def _without_version(value: Any) -> Any:
    return {key: one for key, one in value.items() if key != _VERSION} if isinstance(value, dict) else value
