"""The study of what composing is worth measures what it says, and its page says what intervals show."""

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from viscy_data.columns import EXPERIMENT, FOV, TRACK_ID, T

# The benchmark is not an installed package; its command finds these files beside itself.
sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))
findings: Any = import_module("study.findings")
measures: Any = import_module("study.measures")
page: Any = import_module("study.page")
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
    every = (*keys, *(f"corrected/{key}" for key in keys), "twin")
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


def test_the_page_claims_nothing_that_was_not_measured() -> None:
    ours = records(both=[0.9, 0.92, 0.91], random=[0.9, 0.91, 0.92])
    text = page_of(ours)
    assert "the cells' state: no difference is shown" in text
    assert arms.TITLES["both_ben"] not in text
    assert "How many steps" not in text


def test_the_page_names_what_an_arm_gains_and_what_it_costs() -> None:
    # all figures rise alike: state and phenotype are read better, and so are experiment and microscope
    ours = records(balance=[0.9, 0.92, 0.91], random=[0.7, 0.71, 0.72], both_leak=[0.9, 0.2, 0.5])
    (said,) = [line for line in page_of(ours).splitlines() if "conditions balanced, against" in line]
    gained, lost = said.split("**but**")
    assert "state is read better" in gained
    assert "phenotype is read better" in gained
    assert "linear probe is given away more" in lost
    assert "variance is given away more" in lost
    ours = records(balance=[0.9, 0.2, 0.5], random=[0.5, 0.7, 0.6])
    assert "nothing is shown to gain; nothing is shown to be lost" in page_of(ours)


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
        "Yes, for one thing: whatever else you do, it gives away less of the experiment, by nearest" in said
    )
    assert "read better, too: the cells' state: nowhere; the true phenotype: nowhere." in said
    assert "| correction by control cells | the experiment, by nearest neighbours (-0.100) | nothing" in said
    few = records(both=[0.5, 0.5, 0.5], random=[0.5, 0.5, 0.5])
    for one in few:
        if one["arm"] == "both":
            one["figures"]["leakage_near"] -= 0.3
            one["figures"]["state"] += 0.1
    said = page_of(runs, where=[one | {"setting": "few_infected"} for one in few])
    assert "the cells' state: *nothing else, an eighth of the wells of every plate infected*;" in said
    for one in runs:
        if one["arm"] == "both_strong":
            one["figures"]["state"] -= 0.1
    assert "It depends on what else you do." in page_of(runs)
    assert (
        "| strong augmentation | the experiment, by nearest neighbours (-0.200) | the cells' state (-0.1"
        in (page_of(runs))
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
    assert "| an eighth of the wells of every plate infected | random batches | 0.800 |" in part
    assert "| | both - random | +0.0000 [+0.0000, +0.0000] |" in part
    assert "| half |" not in part, "two seeds say nothing"
    assert "## Where\n" not in page_of(usual)


def test_the_page_shows_how_far_trainings_on_real_crops_lie_apart() -> None:
    names = ("label", "area", "microscope", "twin")
    real = [
        {"set": "fucci", "arm": arm, "figures": dict.fromkeys(names, value)}
        for arm, value in (("random", 0.5), ("random", 0.6), ("random", 0.76), ("one_experiment", 0.25))
    ]
    text = page_of(records(random=[0.9]), real=real)
    for row in (
        "| fucci | random batches | 0.620 (0.500 to 0.760) | 0.620 (0.500 to 0.760) |",
        "| fucci | one experiment a batch | 0.250 | 0.250 |",
        "| fucci | random batches | 3 | 0.620 (0.500 to 0.760) |",
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


def test_runs_known_by_their_figures_stay_and_measured_ones_take_their_place() -> None:
    measured, known = records(random=[0.5, 0.6]), records(random=[0.1, 0.2, 0.7], both=[0.9])
    known += [one | {"setting": "few_infected"} for one in known[:1]]
    found = findings.joined(measured, known)
    assert [one["figures"]["state"] for one in found] == [0.5, 0.6, 0.7, 0.9, 0.1]
    assert findings.joined(found, found) == found


@pytest.mark.parametrize(
    "asked", [["--arms", "random", "both"], ["--settings", "few_infected"], ["--movies", "none"]]
)
def test_runs_known_by_their_figures_are_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[str]
) -> None:
    runs = records(random=[0.5, 0.6], both=[0.7, 0.8])
    real = [
        {"set": name, "arm": arm, "number": 0, "steps": 10}
        for name in evidence.SETS
        for arm in arms.REAL_ARMS
    ]
    known = {"runs": runs, "where": [one | {"setting": "few_infected"} for one in runs], "real": real}
    findings.write_figures(tmp_path / "known.json", known)
    options = [
        "--seeds",
        "0",
        "1",
        "--trainings",
        "1",
        "--steps",
        "10",
        "--known",
        str(tmp_path / "known.json"),
    ]
    folder = ["--folder", str(tmp_path / "runs")]
    monkeypatch.setattr(sys, "argv", ["evidence.py", "train", *folder, *options, *asked])
    evidence.main()
    assert not (tmp_path / "runs").exists()


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
