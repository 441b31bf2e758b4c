"""The page of a bench: what was read how fast, and what would help."""

import yaml

from viscy_data.bench.charts import rates_chart
from viscy_data.bench.result import Bench, rate_text
from viscy_data.bench.tables import NOTHING_HELPS, notes, refused_lines, settings_table
from viscy_data.composition.curriculum import Curriculum
from viscy_data.composition.plan import BatchPlan
from viscy_data.pages.page import Code, Drawing, Page, Paragraph, Section, Verdict
from viscy_data.pages.table import Cell
from viscy_data.sampling.report import plain
from viscy_data.text import shown


def tell(result: Bench, plan: BatchPlan | Curriculum) -> Page:
    """Return the page."""
    read = ", ".join(map(shown, result.subject.experiments))
    return Page(
        "Reading bench",
        f"How fast the batches of a plan are read from {read}, "
        "and what would help. One thing was changed at a time.",
        [_verdict(result)],
        _facts(result),
        [
            _rates(result),
            Section("The figures", "", [settings_table(result)]),
            Section("The plan", "", [Code(yaml.safe_dump(plain(plan), sort_keys=False))]),
        ],
    )


def _verdict(result: Bench) -> Verdict:
    points = [
        Cell(
            f"{one.name}: \u00d7 {one.gain:.1f}, {rate_text(one.per_second)} patches/s", f"{one.text}.", True
        )
        for one in result.advice()
    ]
    if not points:
        return Verdict(NOTHING_HELPS, "plain", notes=refused_lines(result))
    return Verdict("", heading="What helps most", points=points, notes=refused_lines(result))


def _facts(result: Bench) -> list[tuple[str, str]]:
    subject = result.subject
    frames = sum(one.frames for one in result.present) / len(result.present)
    wait = sum(one.wait_per_batch for one in result.present) / len(result.present)
    return [
        ("patches/s now", rate_text(result.per_second)),
        ("wait for a batch", f"{wait:.3f} s"),
        ("frames in a batch", f"{frames:.0f}"),
        ("batch", f"{subject.batch_size} pairs"),
        ("patch, Z Y X", " \u00d7 ".join(map(str, subject.patch))),
        ("chunk, T C Z Y X", " \u00d7 ".join(map(str, subject.chunk))),
        ("anchors", f"{subject.anchors:,}"),
        ("experiments", str(len(subject.experiments))),
    ]


def _rates(result: Bench) -> Section:
    lead = (
        "Green bars help by more than the noise. The dark mark is the present way, measured just before and "
        "after. A lighter bar is expected from a sample of frames, not measured with whole batches."
    )
    told = [Paragraph(one, note=True) for one in notes(result)]
    return Section("Patches per second", lead, [Drawing(rates_chart(result)), *told])
