"""The page in a real browser: point, colour, lasso, label, and the way of the labels back into a table."""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from browsers import chromium
from playwright.sync_api import Browser, Page
from views import EVIL, embedded, index, write_experiments

from viscy_data import read_anchors
from viscy_train.view.write import view_embeddings

_AT = """place => {
  const plot = document.getElementById("map"), layout = plot._fullLayout, box = plot.getBoundingClientRect();
  const trace = plot.data[0];
  return [box.x + layout.xaxis._offset + layout.xaxis.l2p(trace.x[place]),
          box.y + layout.yaxis._offset + layout.yaxis.l2p(trace.y[place])];
}"""
"""Where the point drawn at a place is, in pixels of the window."""

_PIXELS = """canvas => {
  const {width, height} = canvas;
  const values = Array.from(canvas.getContext("2d").getImageData(0, 0, width, height).data);
  return values.filter((_, place) => place % 4 < 3);
}"""
"""Red, green and blue of every pixel of a canvas."""

_GREY = """() => {
  const pen = document.querySelector("#cell-patch canvas").getContext("2d");
  const [red, green, blue] = pen.getImageData(5, 5, 1, 1).data;
  return red === green && green === blue;
}"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("browser")
    index(write_experiments(made), made / "anchors.parquet")
    embedded(made / "anchors.parquet", made / "embeddings.zarr")
    view_embeddings(made / "embeddings.zarr", made / "view.html", progress=False)
    view_embeddings(made / "embeddings.zarr", made / "bare.html", kind="pca", patches=False, progress=False)
    return made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


def opened(browser: Browser, path: Path, problems: list[str]) -> Page:
    page = browser.new_page(viewport={"width": 1400, "height": 1000}, accept_downloads=True)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    page.on(
        "request",
        lambda asked: (
            None if asked.url.startswith(("file:", "data:", "blob:")) else problems.append(asked.url)
        ),
    )
    page.set_default_timeout(120_000)  # a busy machine draws maps slowly
    page.goto(path.as_uri())
    page.wait_for_selector("body[data-ready=yes]")
    return page


@pytest.fixture(scope="module")
def page(browser: Browser, folder: Path) -> Iterator[Page]:
    """The page, which complains of nothing and asks for nothing until all tests are done."""
    problems: list[str] = []
    yield opened(browser, folder / "view.html", problems)
    assert problems == []


def pointed_at(page: Page, place: int) -> int:
    """Point at a point of the map; return which cell is shown."""
    x, y = page.evaluate(_AT, place)
    page.mouse.move(x + 4, y)
    page.mouse.move(x, y)
    page.wait_for_selector("#cell[data-cell]")
    return int(page.get_attribute("#cell", "data-cell") or -1)


def test_pointing_shows_the_cell_its_track_and_its_neighbours(page: Page, folder: Path) -> None:
    anchors = read_anchors(folder / "anchors.parquet")
    page.keyboard.press("Escape")
    cell = pointed_at(page, 3)
    one = anchors.iloc[cell]
    assert page.inner_text("#cell-title") == f"{one['experiment']} · {one['condition']}"
    assert str(one["source_id"]) in page.inner_text("#cell-facts")
    track = anchors[anchors["global_track_id"] == one["global_track_id"]].sort_values("t")
    assert page.locator("#cell-track figcaption").all_inner_texts() == [f"t {t}" for t in track["t"]]
    shown = [
        int(one or -1)
        for one in page.locator("#cell-elsewhere figure").evaluate_all(
            "all => all.map(one => one.dataset.cell)"
        )
    ]
    assert 1 <= len(shown) <= 6
    assert one["experiment"] not in set(anchors["experiment"].iloc[shown])
    page.wait_for_selector(f"#cell-patch canvas[data-drawn='{cell}']")
    assert np.std(page.locator("#cell-patch canvas").evaluate(_PIXELS)) > 5


def test_channels_are_shown_alone_or_as_colours(page: Page) -> None:
    cell = pointed_at(page, 3)
    canvas = page.locator("#cell-patch canvas")
    page.wait_for_selector(f"#cell-patch canvas[data-drawn='{cell}']")
    coloured = np.reshape(canvas.evaluate(_PIXELS), (-1, 3))
    page.select_option("#channel", label="RFP")
    page.wait_for_function(_GREY)
    grey = np.reshape(canvas.evaluate(_PIXELS), (-1, 3))
    page.select_option("#channel", label="all, as colours")
    assert (np.ptp(grey, axis=1) == 0).all()
    assert (np.ptp(coloured, axis=1) > 0).any()


def test_colours_follow_a_column_and_names_stay_text(page: Page) -> None:
    title = page.title()
    page.select_option("#colour", label='Färbung "<i>" &')
    legend = page.locator("#legend button").all_inner_texts()
    assert [one.rsplit(" (", 1)[0] for one in legend] == [EVIL, "plain"]
    colours = "() => new Set(document.getElementById('map').data[0].marker.color).size"
    assert page.evaluate(colours) == 2
    page.locator("#legend button").first.click()
    assert page.locator("#legend button.off").count() == 1
    page.select_option("#colour", label="y")
    assert page.evaluate(colours) > 2
    assert page.is_visible("#highest")
    assert page.title() == title
    assert page.locator("#legend b, #cell-facts b, #cell-facts i").count() == 0


def test_the_ends_of_a_number_are_one_cell_of_each_track(page: Page, folder: Path) -> None:
    anchors = read_anchors(folder / "anchors.parquet")
    page.select_option("#colour", label="y")
    page.click("#highest")
    shown = [
        int(one)
        for one in page.locator("#selection-patches figure").evaluate_all(
            "all => all.map(one => one.dataset.cell)"
        )
    ]
    highest = anchors.loc[anchors.groupby("global_track_id", observed=True)["y"].idxmax()].sort_values("y")
    assert anchors["y"].iloc[shown].tolist() == highest["y"].iloc[::-1][:24].tolist()


def test_labels_of_a_lasso_come_back_through_an_index(page: Page, folder: Path) -> None:
    page.select_option("#map-choice", index=1)
    page.click("#mode-lasso")
    box = page.locator("#map").bounding_box()
    assert box is not None
    left, right, top, bottom = (
        box["x"] + 8,
        box["x"] + box["width"] * 0.55,
        box["y"] + 8,
        box["y"] + box["height"] - 8,
    )
    page.mouse.move(left, top)
    page.mouse.down()
    for x, y in ((right, top), (right, bottom), (left, bottom), (left, top)):
        page.mouse.move(x, y, steps=4)
    page.mouse.up()
    page.wait_for_selector("#selection:not([data-cells='0'])")
    selected = int(page.get_attribute("#selection", "data-cells") or 0)
    label = 'Müll, "A" <b>'
    page.fill("#label-value", label)
    page.fill("#label-column", "t")
    assert page.is_disabled("#label-add")
    assert "column of every table" in page.inner_text("#label-problem")
    page.fill("#label-column", "Güte")
    page.fill("#label-value", "NA")
    assert page.is_disabled("#label-add")
    assert "label that is missing" in page.inner_text("#label-problem")
    page.fill("#label-value", label)
    assert page.is_hidden("#label-one")
    page.click("#label-add")
    assert page.is_visible("#label-one"), "one label alone cannot be asked for"
    with page.expect_download() as coming:
        page.click("#download")
    assert coming.value.suggested_filename == "G_te.csv"
    table = folder / "data" / "labels.csv"
    coming.value.save_as(table)

    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    anchors = read_anchors(folder / "anchors.parquet")
    assert 0 < len(rows) == selected < len(anchors)
    content = yaml.safe_load((folder / "data" / "experiments.yaml").read_text())
    told = yaml.safe_load(page.inner_text("#label-yaml"))
    told["cell_columns"]["path"] = "labels.csv"
    for one in content["experiments"]:
        one.update(told)
    labelled = folder / "data" / "labelled.yaml"
    labelled.write_text(yaml.safe_dump(content))
    again = read_anchors(index(labelled, folder / "labelled.parquet"))
    chosen = {(row["experiment"], row["fov"], int(row["source_id"]), int(row["t"])) for row in rows}
    cells = zip(again["experiment"], again["fov"], again["source_id"], again["t"], strict=True)
    assert again["Güte"].tolist() == [label if cell in chosen else "unlabelled" for cell in cells]
    assert (again["Güte"] == label).sum() == selected


def test_whole_tracks_are_labelled_and_labels_are_taken_back(browser: Browser, folder: Path) -> None:
    problems: list[str] = []
    page = opened(browser, folder / "bare.html", problems)
    assert "There are no patches" in page.inner_text("header")
    pointed_at(page, 0)
    assert page.locator("canvas[data-drawn]").count() == 0
    page.select_option("#colour", label="t")
    page.click("#lowest")
    chosen = int(page.get_attribute("#selection", "data-cells") or 0)
    page.check("#label-tracks")
    page.fill("#label-value", "odd")
    page.press("#label-value", "Enter")
    (said,) = page.locator("#label-list li").all_inner_texts()
    anchors = read_anchors(folder / "anchors.parquet")
    whole = min(24, anchors["global_track_id"].nunique())
    assert chosen == whole
    assert int(said.split(":")[1].split()[0]) >= chosen * 2
    page.click("#label-list button")
    assert page.is_disabled("#download")
    assert problems == []


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (1440, 900)])
def test_the_map_and_its_legend_are_seen_on_opening(
    browser: Browser, folder: Path, width: int, height: int
) -> None:
    problems: list[str] = []
    page = opened(browser, folder / "bare.html", problems)
    page.set_viewport_size({"width": width, "height": height})
    for part in ("#map", "#legend"):
        box = page.locator(part).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= height
        assert box["x"] + box["width"] <= width
    box = page.locator("#map").bounding_box()
    assert box is not None
    assert box["height"] > 0.6 * height
    assert problems == []
