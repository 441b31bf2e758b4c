import base64
import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from views import EVIL

from viscy_train.view.page import ViewPage, render


def page(obs: pd.DataFrame) -> ViewPage:
    count = len(obs)
    places = {f"map {EVIL}": np.zeros((count, 2), np.float32)}
    neighbours = np.full((count, 6), -1)
    codes = np.arange(count)
    return ViewPage(
        title=EVIL,
        subtitle=EVIL,
        facts=[(EVIL, EVIL)],
        notes=[EVIL],
        maps=places,
        obs=obs,
        looks={EVIL: np.array([0.5, np.nan])},
        colour=str(obs.columns[0]),
        track=codes,
        frame=codes,
        elsewhere=neighbours,
        own=neighbours,
        captions=[EVIL],
        keys={"fov": [EVIL] * count},
        taken=["t"],
        missing=["NA"],
    )


class Elements(HTMLParser):
    """Names of the elements of a document, and what its data holds."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.data = ""
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self._inside = ("id", "data") in attrs

    def handle_endtag(self, _: str, /) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.data += data


def parsed(document: str) -> Elements:
    elements = Elements()
    elements.feed(document)
    return elements


def test_no_name_becomes_markup_and_every_name_arrives() -> None:
    evil = pd.DataFrame({EVIL: [EVIL, None], "n": [1, 2]})
    plain = pd.DataFrame({"a": ["b", None], "n": [1, 2]})
    found = parsed(render(page(evil), "let a = '</script>';"))
    assert found.names == parsed(render(page(plain), "")).names
    data = json.loads(found.data)
    names, numbers, made = data["columns"]
    assert (names["name"], names["values"]) == (EVIL, [EVIL])
    assert (numbers["kind"], made["name"], made["made"]) == ("numbers", EVIL, True)
    assert data["keys"] == [{"name": "fov", "values": [EVIL, EVIL]}]
    assert data["pictures"] is None


@pytest.mark.parametrize(
    ("values", "kind"),
    [([1, 2], "f4"), ([1.5, np.nan], "f4"), ([2**24 + 1, 0], "f8"), (pd.array([3, None], "Int64"), "f4")],
)
def test_numbers_keep_their_values(values: object, kind: str) -> None:
    (column, _) = json.loads(parsed(render(page(pd.DataFrame({"n": values})), "")).data)["columns"]
    packed = column["values"]
    assert packed["kind"] == kind
    expected = pd.Series(values).to_numpy(np.float64, na_value=np.nan)
    found = np.frombuffer(base64.b64decode(packed["bytes"]), f"<{kind}")
    assert np.array_equal(found, expected, equal_nan=True)


@pytest.mark.parametrize(
    "values", [[True, False], pd.Categorical(["b", "a"]), pd.array(["b", "a"], "string")]
)
def test_what_is_not_a_number_is_a_name(values: object) -> None:
    (column, _) = json.loads(parsed(render(page(pd.DataFrame({"n": values})), "")).data)["columns"]
    codes = np.frombuffer(base64.b64decode(column["codes"]["bytes"]), "<i4")
    assert [column["values"][code] for code in codes] == [str(one) for one in pd.Series(values)]


def test_the_page_may_fetch_nothing_and_bears_our_mark() -> None:
    document = render(page(pd.DataFrame({"n": [1, 2]})), "")
    assert "default-src 'none'" in document
    assert re.search(r'(src|href)="(?!#)', document) is None
    assert '<meta name="made_by" content="viscy-train">' in document[:200]
