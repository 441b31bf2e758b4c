"""The page of an evaluation: what embeddings know, answered first, then the evidence.

A biologist asks whether treated can be told from control, from when on, and whether what tells them apart is
biology. A table of seventeen metrics answers, but to those only who know what each of them is. So the page
begins with the answer in words (`headlines`); below it, one section for each label with its curve over
hours; one for what gives the experiment away; one for the rest. Every metric has a sentence (`sentences`)
beside its number, interval, chance, n, and limits where they are known; what is corrected by control cells
is beside what is not; a reason in place of numbers is said once.

Several embeddings are columns beside each other. The page is a function of `Evaluation` values and knows no
model; the report of the demo takes its sections.
"""

from collections.abc import Mapping, Sequence
from math import isfinite

from viscy_data import shown
from viscy_data.pages.page import Beside, Block, Drawing, Page, Paragraph, Section
from viscy_data.pages.table import Cell, Table
from viscy_train.evaluation import Difference, Evaluation, Metric, NotAvailable, Outcome, Series, differences
from viscy_train.report.curves import colours_of, dots_chart, hours_curve
from viscy_train.report.headlines import verdicts
from viscy_train.report.sentences import sentence

NO_PAIRS = (
    "These embeddings share no cells, so their numbers may differ by their cells as well as by their models; "
    "nothing is said of which is better."
)

_PROBE_SCORES = ("balanced_accuracy", "auroc", "f1")


def evaluation_page(
    evaluations: Mapping[str, Evaluation], *, same_cells: bool = True, cells: Sequence[Section] = ()
) -> Page:
    """Return the page of one embedding or of several side by side.

    Parameters
    ----------
    evaluations : mapping of str to Evaluation
        By name of the embedding.
    same_cells : bool
        Whether all are of the same cells in the same order, so that differences have intervals.
    cells : sequence of Section
        Cells to look at, shown before how all was measured.
    """
    found = differences(evaluations) if same_cells else ()
    many = len(evaluations) > 1
    listed = ", ".join(shown(name, 60) for name in evaluations)
    return Page(
        title=f"What the embedding{'s' * many} know{'s' * (not many)}",
        subtitle=f"{'Embeddings' if many else 'Embedding'}: {listed}.",
        verdicts=verdicts(evaluations, found),
        facts=facts(evaluations),
        sections=sections(evaluations, found, [] if same_cells or not many else [NO_PAIRS], cells),
        made_by="viscy-train",
    )


def facts(evaluations: Mapping[str, Evaluation]) -> list[tuple[str, str]]:
    """Return what was measured, in names and values."""
    first = next(iter(evaluations.values()))
    counts = dict.fromkeys(f"{one.cells:,} of {one.of_cells:,}" for one in evaluations.values())
    told = [
        ("cells x frames measured", "; ".join(counts)),
        ("asked for", ", ".join(map(shown, first.labels))),
        ("left out in turn", shown(first.leave_out)),
        ("intervals", f"{100 * first.resampling.level:g} %"),
        ("shuffles", str(first.resampling.shuffles)),
        ("seed", str(first.resampling.seed)),
    ]
    more = [("controls", first.controls), ("to beat", first.floor), ("best possible", first.ceiling)]
    return [*told, *((name, shown(value)) for name, value in more if value)]


def sections(
    evaluations: Mapping[str, Evaluation],
    found: Sequence[Difference] = (),
    notes: Sequence[str] = (),
    cells: Sequence[Section] = (),
) -> list[Section]:
    """Return the evidence: each label, experiments, the rest, differences, cells, how it was measured."""
    labels = list(dict.fromkeys(label for one in evaluations.values() for label in one.labels))
    keys = list(dict.fromkeys(one.name for each in evaluations.values() for one in each.outcomes))
    theme = {key: _theme(key, labels) for key in keys}
    told = []
    for label in labels:
        mine = [key for key in keys if theme[key] == label]
        told.append(
            _section(f"Telling {shown(label)}", _LABEL, evaluations, mine, label, _curves(evaluations, label))
        )
    mine = [key for key in keys if theme[key] == _EXPERIMENT]
    told.append(_section("What gives the experiment away", _APART, evaluations, mine))
    mine = [key for key in keys if theme[key] == _REST]
    told.append(_section("Cells over time, and the embedding itself", "", evaluations, mine))
    told = [one for one in told if one.blocks]
    if found or notes:
        told.append(_differences(found, notes))
    return [*told, *cells, _method(evaluations)]


_EXPERIMENT, _REST = object(), object()
_LABEL = (
    "A simple classifier learns the label from the embedding of some cells and names that of cells it never "
    "saw: of whole units of treatment left out, or of a whole experiment left out."
)
_APART = (
    "Cells of the same kind should look alike in every experiment. What tells experiments apart among them "
    "is the microscope, the day, the medium, unless the cells themselves differ."
)


def _theme(key: str, labels: Sequence[str]) -> object:
    """Return the label that a metric is about, or whether it is about experiments."""
    if key.startswith("experiment_leakage/") or key == "experiment_mixing":
        return _EXPERIMENT
    # of labels of which one begins like the other, the longer one
    for label in sorted(labels, key=len, reverse=True):
        own = key in (f"retrieval/same_{label}", f"retrieval/same_{label}_elsewhere")
        if own or key.startswith((f"{label}_", f"{label}/")):
            return label
    return _REST


def _section(
    heading: str,
    lead: str,
    evaluations: Mapping[str, Evaluation],
    keys: Sequence[str],
    label: str = "",
    first: Sequence[Drawing] = (),
) -> Section:
    rows = {key: {name: _outcome(one, key) for name, one in evaluations.items()} for key in keys}
    measured = {key: row for key, row in rows.items() if any(isinstance(one, Metric) for one in row.values())}
    dots = _dots(measured, colours_of(evaluations)) if len(evaluations) > 1 else []
    # what has one axis is one drawing, beside the curve; alone it is as wide as it can be read, no wider
    blocks: list[Block] = [Beside([*first, *dots])] if first or dots else []
    if measured:
        blocks.append(_table(measured, evaluations, label))
    return Section(heading, lead, [*blocks, *_reasons(rows), *_notes(rows)])


def _outcome(evaluation: Evaluation, key: str) -> Outcome | None:
    return next((one for one in evaluation.outcomes if one.name == key), None)


def _curves(evaluations: Mapping[str, Evaluation], label: str) -> list[Drawing]:
    series: dict[str, Series] = {}
    for name, evaluation in evaluations.items():
        found = next((one for one in evaluation.series if one.label == label and one.metrics), None)
        if found is not None:
            series[name] = found
    if not series:
        return []
    fills = colours_of(evaluations)
    keys = [(fills[name], shown(name, 60)) for name in series]
    caption = (
        "Line: of a cell of a kind and one of another, how often the right one is picked. Band: its "
        "interval. Dashed: what guessing gives. Each point is of the hours around it."
    )
    best = any(metric.ceiling is not None for one in series.values() for _, metric in one.metrics)
    caption += " Dotted: the best that is possible." if best else ""
    return [Drawing(hours_curve(series, fills), "By hours", keys if len(series) > 1 else (), caption)]


def _dots(rows: Mapping[str, Mapping[str, Outcome | None]], fills: Mapping[str, str]) -> list[Drawing]:
    """Draw one metric of each family, the one that needs no threshold where there are several.

    Metrics that can be the same numbers, such as shares, have one drawing, and so one axis.
    """
    families: dict[str, str] = {}
    for key in rows:
        family, _, score = key.partition("/")
        if family in ("retrieval", "experiment_leakage") and score not in _PROBE_SCORES:
            families[key] = key
        elif family not in families or score == "auroc":
            families[family] = key
    drawn: dict[object, dict[str, dict[str, Metric]]] = {}
    for key in families.values():
        metrics = {name: one for name, one in rows[key].items() if isinstance(one, Metric)}
        what = next(iter(metrics.values())).definition
        same = (what.bounds, what.better) if isfinite(what.bounds[1]) else key
        drawn.setdefault(same, {})[shown(what.title, 60)] = metrics
    return [Drawing(dots_chart(each, fills)) for each in drawn.values()]


def _table(
    rows: Mapping[str, Mapping[str, Outcome | None]], evaluations: Mapping[str, Evaluation], label: str
) -> Table:
    """Return what each metric says, its numbers, corrected beside them, and what they rest on."""
    headings, many = ["metric"], len(evaluations) > 1
    for name, evaluation in evaluations.items():
        called = shown(name, 60)
        headings.append(called if many else "value")
        if evaluation.corrected is not None:
            headings.append(f"{called}, corrected" if many else "corrected")
    table = []
    for key, row in rows.items():
        found = {name: one for name, one in row.items() if isinstance(one, Metric)}
        metric = next(iter(found.values()))
        cells: list[Cell | str] = [Cell(shown(metric.definition.title, 80), sentence(found, label))]
        for name, outcome in row.items():
            cells.append(_cell(outcome))
            corrected = evaluations[name].corrected
            if corrected is not None:
                cells.append(_cell(_outcome(corrected, key)))
        cells += [
            Cell(f"{metric.n:,}", f"{metric.units:,} {metric.unit}"),
            metric.definition.better,
        ]
        table.append(tuple(cells))
    limits = any(
        isinstance(one, Metric) and (one.floor is not None or one.ceiling is not None)
        for row in rows.values()
        for one in row.values()
    )
    title = "Bold: told from guessing. Below each number: its interval; what guessing gives" + (
        "; where known, what to beat, and the best." if limits else "."
    )
    return Table(title, (*headings, "n", "better"), tuple(table), words=True)


def _cell(outcome: Outcome | None) -> Cell:
    if not isinstance(outcome, Metric):
        return Cell("\u2013")
    under = [f"{outcome.low:.2f} to {outcome.high:.2f}", f"guess {outcome.shuffled:.2f}"]
    under += [f"to beat {outcome.floor:.2f}"] if outcome.floor is not None else []
    under += [f"best possible {outcome.ceiling:.2f}"] if outcome.ceiling is not None else []
    return Cell(f"{outcome.value:.3f}", "\n".join(under), strong=bool(outcome.tells))


def _reasons(rows: Mapping[str, Mapping[str, Outcome | None]]) -> list[Paragraph]:
    """Say why numbers are missing: each reason once, with the metrics it concerns."""
    reasons: dict[str, dict[str, None]] = {}
    for row in rows.values():
        for one in row.values():
            if isinstance(one, NotAvailable):
                reasons.setdefault(one.reason, {})[one.definition.title] = None
    return [
        Paragraph(f"Not available, since {reason}: {'; '.join(titles)}.", note=True)
        for reason, titles in reasons.items()
    ]


def _notes(rows: Mapping[str, Mapping[str, Outcome | None]]) -> list[Paragraph]:
    notes = dict.fromkeys(
        one.note for row in rows.values() for one in row.values() if isinstance(one, Metric) and one.note
    )
    return [Paragraph(f"{note[:1].upper()}{note[1:]}.", note=True) for note in notes]


def _differences(found: Sequence[Difference], notes: Sequence[str]) -> Section:
    lead = (
        "Each row leaves out one unit at a time and takes the difference anew: the interval is of the "
        "difference itself. It does not cover chance of training: another training of the same model gives "
        "other numbers."
    )
    said = [Paragraph(note) for note in notes]
    if not found:
        return Section("Which embedding is better", "", said)
    rows = tuple(
        (
            shown(one.definition.title, 80),
            f"{shown(one.first, 40)} less {shown(one.second, 40)}",
            Cell(f"{one.value:+.3f}", f"{one.low:+.3f}\u00a0to\u00a0{one.high:+.3f}", strong=one.shown),
            Cell(f"{one.units:,}", one.unit),
            f"better: {shown(one.better, 40)}" if one.better else _undecided(one),
        )
        for one in found
    )
    by_chance = f"Of {len(rows)} intervals about {max(1, round(len(rows) / 20))} excludes 0 by chance alone."
    table = Table("", ("metric", "difference", "value", "units", "shown"), rows, words=True)
    return Section("Which embedding is better", lead, [*said, table, Paragraph(by_chance, note=True)])


def _undecided(one: Difference) -> str:
    return "differ, neither is better as such" if one.shown else "no difference is shown"


def _method(evaluations: Mapping[str, Evaluation]) -> Section:
    """Say how each number is computed, one definition for each family, and of which weights it is."""
    outcomes = {one.name: one for each in evaluations.values() for one in each.outcomes}
    texts = dict.fromkeys(
        f"{one.definition.title}: {one.definition.text}"
        for one in outcomes.values()
        if isinstance(one, Metric)
    )
    digests = [
        (shown(name, 60), one.model_digest[:16]) for name, one in evaluations.items() if one.model_digest
    ]
    blocks: list[Block] = [Paragraph(text, note=True) for text in texts]
    if digests:
        blocks.append(Table("", ("embedding", "digest of its weights"), tuple(digests), words=True))
    uncorrected = dict.fromkeys(
        f"Not corrected by {one.controls}: {one.uncorrected}."
        for one in evaluations.values()
        if one.uncorrected
    )
    lead = (
        "Intervals leave out one unit at a time (delete-a-group jackknife, Student's t); guessing is the "
        "same computation on shuffled labels, dealt among units."
    )
    return Section("How this was measured", lead, [*map(Paragraph, uncorrected), *blocks])
