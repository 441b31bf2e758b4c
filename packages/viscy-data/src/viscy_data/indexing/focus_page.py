"""The page of focus curves: how sharp each slice of each field of view is, and which one was taken when."""

from collections.abc import Mapping, Sequence
from typing import Final

from viscy_data.images.focus import FocusCurve
from viscy_data.indexing.focus import Curves, focus_notes
from viscy_data.pages.colours import ACCENT, LINE, lighter
from viscy_data.pages.markup import Markup, tag
from viscy_data.pages.page import Beside, Block, Drawing, Page, Paragraph, Section, Verdict
from viscy_data.pages.svg import line, picture, text, ticks

_WIDTH, _HEIGHT = 200.0, 90.0
_LEFT, _TOP, _GAP = 26.0, 18.0, 48.0
_MOST: Final = 400
"""Fields of view of an experiment that are drawn."""


def tell_focus(curves: Curves) -> Page:
    """Return the page."""
    shown = {name: fovs for name, fovs in curves.items() if any(fovs.values())}
    notes = list(focus_notes(shown))
    warned = any("sharpest in the first or last" in note for note in notes)
    return Page(
        "Focus",
        "How sharp each slice of a stack is (Vollath's measure: the autocorrelation at one pixel less that "
        "at two), and which slice each frame's patches are cut from.",
        [Verdict("", "bad" if warned else "plain", heading="Where the focus lies", points=notes)],
        [
            ("experiments", str(len(shown))),
            ("fields of view", str(sum(map(len, shown.values())))),
            ("stacks", f"{sum(len(one.planes) for f in shown.values() for c in f.values() for one in c):,}"),
        ],
        [_section(name, fovs) for name, fovs in shown.items()],
    )


def _section(name: str, fovs: Mapping[str, Sequence[FocusCurve]]) -> Section:
    drawn: list[Block] = [
        Drawing(focus_chart(one), f"{fov}, {one.channel}")
        for fov, found in list(fovs.items())[:_MOST]
        for one in found
    ]
    more = len(fovs) - _MOST
    rest: list[Block] = []
    if more > 0:
        rest.append(Paragraph(f"{more} fields of view more are not drawn.", note=True))
    return Section(
        name,
        "Left: sharpness by slice, the line its mean over frames, the area from the least to the most of "
        "any. Right: the slice in focus over time. A curve with one clear top is trustworthy; a flat one, or "
        "one that rises to an end of the stack, is not.",
        [Beside(drawn), *rest],
    )


def focus_chart(curve: FocusCurve) -> Markup:
    """Draw the sharpness of slices, and beside it the slice in focus of each frame."""
    depth = max(len(curve.mean), max(curve.planes, default=0) + 1)
    width = 2 * (_LEFT + _WIDTH) + _GAP - _LEFT
    parts = [*_by_slice(curve, depth), *_over_time(curve, depth)]
    said = f"Sharpness of {depth} slices, and the slice in focus of {len(curve.planes)} frames"
    return picture(width, _TOP + _HEIGHT + 30, parts, said)


def _by_slice(curve: FocusCurve, depth: int) -> list[Markup]:
    def place(z: float, value: float) -> tuple[float, float]:
        return _LEFT + _WIDTH * z / max(1, depth - 1), _TOP + _HEIGHT * (1 - value)

    floor = _TOP + _HEIGHT
    parts = [
        text(_LEFT, 10, "sharpness by slice"),
        line([(_LEFT, floor), (_LEFT + _WIDTH, floor)], LINE, width=1),
        text(_LEFT - 5, _TOP + 8, "1", anchor="end"),
        text(_LEFT - 5, floor, "0", anchor="end"),
    ]
    parts += [text(place(z, 0)[0], floor + 14, f"{z:g}", anchor="middle") for z in _whole(depth - 1)]
    if not curve.mean:
        return [*parts, text(_LEFT + 8, _TOP + _HEIGHT / 2, "no slice has any contrast")]
    around = [*enumerate(curve.highest), *reversed(list(enumerate(curve.lowest)))]
    points = Markup(" ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*one) for one in around)))
    parts.append(tag("polygon", points=points, fill=lighter(ACCENT, 0.75)))
    parts.append(line([place(*one) for one in enumerate(curve.mean)], ACCENT))
    return parts


def _over_time(curve: FocusCurve, depth: int) -> list[Markup]:
    left, floor = _LEFT + _WIDTH + _GAP, _TOP + _HEIGHT
    frames = len(curve.planes)

    def place(t: float, z: float) -> tuple[float, float]:
        return left + (_WIDTH - _LEFT) * t / max(1, frames), floor - _HEIGHT * z / max(1, depth - 1)

    parts = [
        text(left, 10, "slice in focus, by frame"),
        line([(left, floor), (left + _WIDTH - _LEFT, floor)], LINE, width=1),
    ]
    parts += [text(left - 5, place(0, z)[1] + 4, f"{z:g}", anchor="end") for z in _whole(depth - 1, 4)]
    parts += [text(place(t + 0.5, 0)[0], floor + 14, f"{t:g}", anchor="middle") for t in _whole(frames - 1)]
    steps = [place(t + side, z) for t, z in enumerate(curve.planes) for side in (0.0, 1.0)]
    return [*parts, line(steps, ACCENT)] if steps else parts


def _whole(most: int, count: int = 5) -> list[float]:
    """Return about ``count`` round whole numbers from 0 to ``most``."""
    return [one for one in ticks(0, most, count) if one == int(one)]
