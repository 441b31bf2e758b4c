"""The study of what composing is worth measures what it says, and its page says what intervals show."""

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from viscy_data.columns import EXPERIMENT, FOV, TRACK_ID, T

# The benchmark is not an installed package; its command finds these files beside itself.
sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))
findings: Any = import_module("study.findings")
measures: Any = import_module("study.measures")
page: Any = import_module("study.page")
known: Any = import_module("study.known")
questions: Any = import_module("study.questions")
arms: Any = import_module("study.arms")
noise: Any = import_module("study.noise")
evidence: Any = import_module("evidence")


def twins_of(cells: int, microscopes: int) -> pd.DataFrame:
    rows = [
        {EXPERIMENT: f"m{microscope}", FOV: "A/1/0", TRACK_ID: cell, T: 0}
        for microscope in range(microscopes)
        for cell in range(cells)
    ]
    return pd.DataFrame(rows)


def test_the_microscopes_share_is_that_of_a_loop_over_cells() -> None:
    rng = np.random.default_rng(0)
    obs = twins_of(cells=7, microscopes=3).sample(frac=1, random_state=1).reset_index(drop=True)
    embedding = rng.normal(size=(len(obs), 4))
    inside = 0.0
    for rows in obs.groupby(TRACK_ID).indices.values():
        inside += float(((embedding[rows] - embedding[rows].mean(axis=0)) ** 2).sum())
    total = float(((embedding - embedding.mean(axis=0)) ** 2).sum())
    assert measures.microscope_of(embedding, obs)["microscope"] == pytest.approx(inside / total)


@pytest.mark.parametrize(("strength", "share", "found"), [(0.0, 0.0, 1.0), (50.0, 1.0, None)])
def test_an_encoder_that_ignores_the_microscope_finds_every_twin(
    strength: float, share: float, found: float | None
) -> None:
    rng = np.random.default_rng(0)
    obs = twins_of(cells=40, microscopes=3)
    cell, microscope = rng.normal(size=(40, 6)), rng.normal(size=(3, 6))
    embedding = cell[obs[TRACK_ID]] + strength * microscope[obs[EXPERIMENT].str[1:].astype(int)]
    figures = measures.microscope_of(embedding, obs)
    assert figures["microscope"] == pytest.approx(share, abs=0.01)
    if found is not None:
        assert figures["twin"] == found


def test_cells_without_all_their_twins_are_refused() -> None:
    with pytest.raises(ValueError, match="11 rows are not 4 cells under 3 microscopes each"):
        measures.stack_twins(np.zeros((11, 2)), twins_of(cells=4, microscopes=3).iloc[:11])


def records(**by_arm: list[float]) -> list[dict[str, Any]]:
    """Return one run per arm and seed whose figures are all the given value."""
    keys = ("state", "corrected/state", "phenotype", "microscope", "leakage", "leakage_near")
    every = [f"{prefix}{key}" for key in (*keys, "twin") for prefix in ("", "corrected/")]
    return [
        {
            "arm": arm,
            "seed": seed,
            "number": 0,
            "steps": 10,
            "seconds": 1.0,
            "figures": dict.fromkeys(every, value) | {"state_by_hours": {"6": value}},
        }
        for arm, values in by_arm.items()
        for seed, value in enumerate(values)
    ]


def test_arms_are_compared_seed_by_seed() -> None:
    ours, theirs = [0.9, 0.8, 0.95], [0.85, 0.7, 0.93]
    found = findings.compare(records(both=ours, random=theirs), "both", "random", "state")
    expected = stats.ttest_rel(ours, theirs).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.value == pytest.approx(np.mean(ours) - np.mean(theirs))


def test_the_verdict_follows_the_intervals() -> None:
    better = [0.9, 0.92, 0.91]
    same = [0.9, 0.8, 0.85]
    held = findings.judge(records(both=better, random=[0.5, 0.52, 0.51]))
    assert [one.holds for one in held] == [True, True, None, False, None]
    assert not any(one.holds for one in findings.judge(records(both=same, random=same[::-1])))


def test_the_chance_of_a_difference_is_that_of_a_t_test() -> None:
    ours, theirs = [0.9, 0.8, 0.95], [0.85, 0.7, 0.93]
    found = findings.compare(records(both=ours, random=theirs), "both", "random", "state")
    assert found.p == pytest.approx(stats.ttest_rel(ours, theirs).pvalue)
    alone = findings.compare(records(both=[0.9], random=[0.8]), "both", "random", "state")
    assert alone.p == 1


@given(st.lists(st.floats(1e-9, 1), max_size=30))
def test_discoveries_are_those_of_benjamini_and_hochberg(chances: list[float]) -> None:
    found = [findings.Difference(0.1, 0.0, 0.2, 5, 3, p) for p in chances]
    limit, level = 0.0, questions.FALSE_DISCOVERIES
    for rank, p in enumerate(sorted(chances), start=1):  # the largest p at most its rank's share of the level
        if p <= level * rank / len(chances) * (1 - 1e-12):
            limit = p
    assert questions.largest_discovery(found) == pytest.approx(limit)


def test_a_linear_probe_is_not_asked_of_corrected_embeddings() -> None:
    asked = [one for one in (*questions.PLAIN, *questions.CORRECTED) if "leakage" in one.figures]
    assert asked == list(questions.PLAIN)


def test_the_page_claims_nothing_that_was_not_measured() -> None:
    ours = records(both=[0.9, 0.92, 0.91], random=[0.9, 0.91, 0.92])
    text = page_of(ours)
    assert "state +0.0000 [-0.025, +0.025]" in text
    assert arms.TITLES["both_ben"] not in text
    assert "How many steps" not in text


def test_the_page_names_what_an_arm_gains_and_what_it_costs() -> None:
    # all figures rise alike: state and phenotype are read better, and so are experiment and microscope
    ours = records(balance=[0.9, 0.92, 0.91], random=[0.7, 0.71, 0.72], both_leak=[0.9, 0.2, 0.5])
    (row,) = [
        line for line in page_of(ours).splitlines() if line.startswith("| conditions balanced, against")
    ]
    _, _, better, worse, _ = row.split("|")
    assert better.strip() == "state 0.710 to 0.910★; phenotype 0.710 to 0.910★"
    assert "microscope's share 0.710 to 0.910★; experiment by a linear probe 0.710 to 0.910★" in worse
    ours = records(balance=[0.9, 0.2, 0.5], random=[0.5, 0.7, 0.6])
    assert "against random batches | nothing seen | nothing seen |" in page_of(ours)


def test_the_page_advises_what_holds_in_every_case() -> None:
    pairs = [("both", "random"), ("both_strong", "random_strong"), ("both_held_out", "random_held_out")]
    values = {arm: [0.5, 0.52, 0.51] for pair in pairs for arm in pair}
    runs = records(**values)
    for one in runs:
        if one["arm"].startswith("both"):
            one["figures"]["leakage_near"] -= 0.2
            one["figures"]["corrected/leakage_near"] -= 0.1
    said = page_of(runs)
    assert (
        "Yes, for one thing: in all of 6 cases tried, composed batches give away less of the experiment by "
        "neighbours, and nothing is seen to be lost.\n" in said
    )
    assert "| correction | experiment by neighbours 0.510 to 0.410★ | nothing seen |" in said
    few = records(both=[0.6, 0.6, 0.6], random=[0.5, 0.5, 0.5])
    for one in few:
        if one["arm"] == "both":
            one["figures"] |= dict.fromkeys(("microscope", "leakage", "corrected/microscope"), 0.5)
            one["figures"] |= dict.fromkeys(("leakage_near", "corrected/leakage_near"), 0.3)
    said = page_of(runs, where=[one | {"setting": "few_infected"} for one in few])
    assert (
        "The state is read better with *an eighth of the wells infected*; *correction, an eighth of the "
        "wells infected*." in said
    )
    assert "in all of 8 cases" in said
    for one in runs:
        if one["arm"] == "both_strong":
            one["figures"]["state"] -= 0.1
    assert "It depends on what else you do" in page_of(runs)
    assert "| strong augmentation | experiment by neighbours 0.510 to 0.310★ | state 0.510 to 0.410★ |" in (
        page_of(runs)
    )


def test_a_difference_that_is_chance_among_many_is_called_a_hint() -> None:
    runs = records(both=[0.50, 0.52, 0.51], random=[0.50, 0.52, 0.51])
    for one, gain in zip(runs[:3], (0.025, 0.045, 0.035), strict=True):  # p = 0.026
        one["figures"]["leakage_near"] -= gain
        one["figures"]["state"] += gain
    said = page_of(runs)
    assert (
        "| nothing else | state 0.510 to 0.545; experiment by neighbours 0.510 to 0.475 | nothing seen |"
        in said
    )


def test_the_page_shows_how_figures_follow_the_steps() -> None:
    curve = records(random=[0.5, 0.7])
    curve[1]["steps"] = 20
    text = page_of(records(random=[0.9]), curve)
    for row in ("| 10 | random batches | 1 | 0.500 |", "| 20 | random batches | 1 | 0.700 |"):
        assert row in text


def test_the_page_shows_where_composing_helps_on_the_seeds_that_have_both() -> None:
    usual = records(both=[0.9, 0.92, 0.91, 0.1], random=[0.7, 0.71, 0.72, 0.9])
    few = records(both=[0.8, 0.75, 0.85], random=[0.8, 0.75, 0.85, 0.1])
    half = records(both=[0.5, 0.5], random=[0.5, 0.5])
    settings = {"few_infected": few, "half_infected": half}
    text = page_of(usual, where=[one | {"setting": name} for name, runs in settings.items() for one in runs])
    part = text.split("## Where\n")[1].split("##")[0]
    assert "| as above | random batches | 0.710 |" in part
    assert "| an eighth of the wells infected | random batches | 0.800 |" in part
    assert "| | composed - random batches | +0.0000 [+0.0000, +0.0000] |" in part
    assert "| half |" not in part, "two seeds say nothing"
    assert "## Where\n" not in page_of(usual)


def test_the_page_shows_how_far_trainings_on_real_crops_lie_apart() -> None:
    names = [name for name, _ in page._REAL_COLUMNS]
    real = [
        {"set": "fucci", "arm": arm, "number": number, "seconds": 1.0, "figures": dict.fromkeys(names, value)}
        for arm, number, value in (
            *(("random", 0, 0.5), ("random", 1, 0.6), ("random", 2, 0.76)),
            ("one_experiment", 0, 0.25),
        )
    ]
    text = page_of(records(random=[0.9]), real=real)
    for row in (
        "One experiment a batch, against random batches: microscope's share 0.620 to 0.250, label 0.62 to",
        "| fucci | random batches | 3 | 0.620 (0.500 to 0.760) | 0.620 (0.500 to 0.760) |",
        "| fucci | one experiment a batch | 1 | 0.250 | 0.250 |",
        "in brackets stand the lowest and the highest",
    ):
        assert row in text


def test_the_committed_page_is_that_of_the_committed_figures() -> None:
    root = Path(page.__file__).resolve().parents[2]
    figures = json.loads((root / "benchmarks" / "evidence.json").read_text())
    assert (root / "docs" / "evidence.md").read_text() == page.text_of(figures, "images/evidence.svg")


def page_of(runs: list[dict[str, Any]], curve: Any = (), where: Any = (), real: Any = ()) -> str:
    figures = {"runs": runs, "ceiling": None, "verdict": [], "real": real, "curve": curve, "where": where}
    return str(page.text_of(figures, "picture.svg"))


def test_figures_are_kept_a_run_to_a_line_and_read_again(tmp_path: Path) -> None:
    ours = records(random=[0.123456789, 0.5])
    findings.write_figures(tmp_path / "figures.json", {"runs": ours, "ceiling": None, "real": []})
    text = (tmp_path / "figures.json").read_text()
    assert text.count("\n") == 8
    found = json.loads(text)
    assert found["ceiling"] is None
    assert found["real"] == []
    assert found["runs"][0]["figures"]["state"] == 0.12346
    assert found["runs"][1] == ours[1]


def figures_of(runs: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return figures of all parts that hold the given runs, in the study's number of steps."""
    runs = [one | {"steps": arms.STEPS} for one in runs]
    real = [{"set": name, "arm": arm, "number": 0} for name in evidence.SETS for arm in arms.REAL_ARMS]
    return {
        "runs": runs,
        "where": [one | {"setting": "few_infected"} for one in runs],
        "curve": [one | {"seed": 100 + one["seed"], "steps": 450} for one in runs],
        "real": [one | {"steps": arms.STEPS, "figures": {}} for one in real],
    }


def test_known_runs_stay_and_measured_ones_take_their_place() -> None:
    before = figures_of(records(random=[0.1, 0.2, 0.7], both=[0.9]))
    measured = known.nothing() | {"runs": figures_of(records(random=[0.5, 0.6]))["runs"]}
    found = known.joined(measured, before)
    states = {(one["arm"], one["seed"]): one["figures"]["state"] for one in found["runs"]}
    assert states == {("random", 0): 0.5, ("random", 1): 0.6, ("random", 2): 0.7, ("both", 0): 0.9}
    assert known.joined(known.nothing(), found) == found == known.joined(found, before)
    assert len(found["where"]) == len(found["curve"]) == 4


def test_runs_of_other_steps_and_pixels_of_data_that_nothing_trained_on_do_not_count() -> None:
    runs = figures_of(records(random=[0.5]))["runs"]
    short = [one | {"steps": 2, "seed": 7} for one in runs]
    raw = [one | {"arm": "raw", "steps": 0, "seed": seed} for one in runs for seed in (0, 7)]
    found = known.joined(known.nothing() | {"runs": [*runs, *short, *raw]}, known.nothing())
    assert {(one["arm"], one["seed"]) for one in found["runs"]} == {("random", 0), ("raw", 0)}


def test_known_runs_of_other_data_are_refused() -> None:
    before = figures_of(records(raw=[0.5], random=[0.6]))
    measured = known.nothing() | {"runs": figures_of(records(raw=[0.51]))["runs"]}
    with pytest.raises(SystemExit, match=r"arm raw.*is 0.5100, and 0.5000 in the known.*--afresh"):
        known.joined(measured, before)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (None, "cannot be read"),
        ("<<<<<<< ours", "cannot be read"),
        ("[]", "has no lists runs, where, curve, real"),
        ('{"runs": [], "where": [], "curve": []}', "has no lists"),
        ('{"runs": [{}], "where": [], "curve": [], "real": []}', "number 1 of 'runs' is no run"),
        (records(random=[0.5]) * 2, "holds seed 0, arm random, number 0, steps 10 twice in 'runs'"),
    ],
)
def test_figures_that_cannot_be_gone_on_from_are_refused(tmp_path: Path, written: Any, said: str) -> None:
    path = tmp_path / "evidence.json"
    if isinstance(written, list):
        written = json.dumps(known.nothing() | {"runs": written})
    if written is not None:
        path.write_text(written)
    with pytest.raises(SystemExit, match=said) as found:
        known.read(path)
    assert "bring it back with git" in str(found.value)


@pytest.mark.parametrize(
    "asked",
    [
        ["--arms", "random", "both"],
        ["--settings", "few_infected"],
        ["--movies", "none"],
        ["--seeds", "100", "101", "--steps", "450", "--arms", "random", "both"],
    ],
)
def test_known_runs_are_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], asked: list[str]
) -> None:
    figures = figures_of(records(random=[0.5, 0.6], both=[0.7, 0.8]))
    monkeypatch.setattr(evidence, "FIGURES", tmp_path / "evidence.json")
    findings.write_figures(evidence.FIGURES, figures)
    options = ["--seeds", "0", "1", "--trainings", "1", *asked]
    monkeypatch.setattr(sys, "argv", ["evidence.py", "train", "--folder", str(tmp_path / "runs"), *options])
    evidence.main()
    assert not (tmp_path / "runs").exists()
    assert "runs are known from" in capsys.readouterr().out


def test_measuring_adds_to_the_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "FIGURES", tmp_path / "evidence.json")
    known_before = figures_of(records(random=[0.5, 0.6], both=[0.7, 0.8]))
    findings.write_figures(evidence.FIGURES, findings.summary(known.joined(known_before, known.nothing())))
    before = evidence.FIGURES.read_bytes()
    (tmp_path / "runs").mkdir()
    command = ["evidence.py", "measure", "--folder", str(tmp_path / "runs")]
    monkeypatch.setattr(sys, "argv", command)
    evidence.main()
    assert evidence.FIGURES.read_bytes() == before
    monkeypatch.setattr(sys, "argv", [*command[:-1], str(tmp_path / "none")])
    with pytest.raises(SystemExit, match="there is no folder"):
        evidence.main()
    assert evidence.FIGURES.read_bytes() == before
    monkeypatch.setattr(sys, "argv", [*command, "--afresh"])
    evidence.main()
    assert not json.loads(evidence.FIGURES.read_text())["runs"]


def test_noise_of_training_is_the_spread_within_settings_and_not_between_them() -> None:
    rng = np.random.default_rng(0)
    settings = [list(place + rng.normal(0, 0.02, 40)) for place in (0.1, 0.5, 0.9)]
    found = noise.pooled("auc", [*settings, [0.3]])
    within = [value - np.mean(values) for values in settings for value in values]
    assert found.deviation == pytest.approx(np.sqrt(np.sum(np.square(within)) / 117))
    assert found.freedom == 117
    assert found.deviation < found.limit < 1.3 * found.deviation


def test_noise_of_trainings_made_once_is_refused() -> None:
    with pytest.raises(SystemExit, match="no setting was trained twice"):
        noise.pooled("auc", [[0.5], [0.6]])
