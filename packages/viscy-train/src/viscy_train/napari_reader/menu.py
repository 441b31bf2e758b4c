"""The fields of view of the tables that are open, as a menu in napari.

napari makes the form of `show_field` from its signature (magicgui): a list to choose from, and a button.
"""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from viscy_train.napari_reader.fields import Field, open_table
from viscy_train.napari_reader.layers import TABLE, Layer, field_layers

type Choice = tuple[str, Field]
"""A table's path, and one of its fields of view."""


def open_fields(_: object = None) -> list[tuple[str, Choice]]:
    """Return the label of each field of view of the tables that are open, and which it is."""
    viewer = sys.modules["napari"].current_viewer() if "napari" in sys.modules else None
    return [] if viewer is None else choices(layer.metadata for layer in viewer.layers)


def choices(metadata: Iterable[dict[str, Any]]) -> list[tuple[str, Choice]]:
    """Return the choices that the metadata of layers know of; of two tables labels begin with their names."""
    tables = {one[TABLE]["path"]: one[TABLE]["fields"] for one in metadata if TABLE in one}
    return [
        (" ".join(((Path(path).name,) if len(tables) > 1 else ()) + tuple(field)), (path, tuple(field)))
        for path, fields in tables.items()
        for field in fields
    ]


def show_field(
    field: Annotated[Any, {"widget_type": "ComboBox", "choices": open_fields, "label": "field of view"}],
) -> list[Layer]:
    """Return the layers of a field of view of a table that is open."""
    path, chosen = field
    return field_layers(open_table(path), chosen)


# magicgui, which has napari beside it, looks this name up; layers of this type are added to the viewer.
show_field.__annotations__["return"] = "list[napari.types.LayerDataTuple]"
