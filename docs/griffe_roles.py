"""Show Sphinx roles in docstrings as plain code: the pages are Markdown, in which a role means nothing."""

import re
from typing import Any

import griffe

_ROLE = re.compile(r":\w+:`~?([^`<]+)`")


class PlainRoles(griffe.Extension):
    """Turn ``:class:`~viscy_data.errors.StoreError``` into ``viscy_data.errors.StoreError``, as code."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:  # noqa: ARG002
        if obj.docstring is not None:
            obj.docstring.value = _ROLE.sub(r"`\1`", obj.docstring.value)
