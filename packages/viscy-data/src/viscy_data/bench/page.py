"""The page of a bench: what was read how fast, and what would help."""

from pathlib import Path

import yaml

from viscy_data.bench.charts import rates_chart
from viscy_data.bench.result import Bench, rate_text
from viscy_data.bench.tables import notes, settings_grid
from viscy_data.composition.curriculum import Curriculum
from viscy_data.composition.plan import BatchPlan
from viscy_data.files.outputs import write_text
from viscy_data.pages.grid import html_table
from viscy_data.pages.page import page, section
from viscy_data.sampling.report import plain
from viscy_data.text import html_text, shown


def render(result: Bench, plan: BatchPlan | Curriculum) -> str:
    """Return the page as one HTML document."""
    read = ", ".join(map(shown, result.subject.experiments))
    return page(
        "Reading bench",
        f"How fast the batches of a plan are read from {read}, "
        "and what would help. One thing was changed at a time.",
        verdicts=_verdict(result),
        facts=_facts(result),
        sections=_rates(result) + section("The figures", html_table(settings_grid(result))) + _plan(plan),
    )


def write_page(result: Bench, plan: BatchPlan | Curriculum, path: Path) -> None:
    """Write the page, whole or not at all."""
    write_text(path, render(result, plan), argument="html")


def _verdict(result: Bench) -> str:
    advice = result.advice()
    refused = "".join(
        f'<p class="note">Not tried: {html_text(name)}: {html_text(why)}</p>'
        for name, why in result.refused.items()
    )
    if not advice:
        return f'<div class="verdict">Nothing that was tried helps by more than the noise.{refused}</div>'
    items = "".join(
        f"<li><strong>{html_text(one.name)}: &times; {one.gain:.1f}</strong>, "
        f"{rate_text(one.per_second)} patches/s"
        f'<br><span class="note">{html_text(one.text)}.</span></li>'
        for one in advice
    )
    return f'<div class="verdict"><strong>What helps most</strong><ul>{items}</ul>{refused}</div>'


def _facts(result: Bench) -> list[tuple[str, str]]:
    subject = result.subject
    frames = sum(one.frames for one in result.present) / len(result.present)
    wait = sum(one.wait_per_batch for one in result.present) / len(result.present)
    return [
        ("patches/s now", rate_text(result.per_second)),
        ("wait for a batch", f"{wait:.3f} s"),
        ("frames in a batch", f"{frames:.0f}"),
        ("batch", f"{subject.batch_size} pairs"),
        ("patch, Z Y X", "\u00d7".join(map(str, subject.patch))),
        ("chunk, T C Z Y X", " \u00d7 ".join(map(str, subject.chunk))),
        ("anchors", f"{subject.anchors:,}"),
        ("experiments", str(len(subject.experiments))),
    ]


def _rates(result: Bench) -> str:
    lead = (
        "Green bars help by more than the noise. The dark mark is the present way, measured just before and "
        "after. A lighter bar is expected from a sample of frames, not measured with whole batches."
    )
    told = "".join(f'<p class="lead">{html_text(one)}</p>' for one in notes(result))
    return section(
        "Patches per second", f'{rates_chart(result)}<div style="margin-top: 18px">{told}</div>', lead=lead
    )


def _plan(plan: BatchPlan | Curriculum) -> str:
    return section("The plan", f"<code>{html_text(yaml.safe_dump(plain(plan), sort_keys=False))}</code>")
