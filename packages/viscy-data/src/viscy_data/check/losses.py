"""Findings about what is lost: cells, conditions, movies; and the tau that would work."""

from collections.abc import Iterator, Sequence
from typing import Final

from viscy_data.check.finding import Finding, Loss
from viscy_data.check.fitting import asked_frames, better_tau, tau_option
from viscy_data.check.survey import MUCH, Survey
from viscy_data.check.words import listed, number, quoted
from viscy_data.tables.experiment import Experiment
from viscy_data.tables.places import Place
from viscy_data.tables.tau import TauRange

NO_POSITIVE: Final = "no positive within tau"
_DROPPED_MUCH: Final = 0.1
# Fields of view that hold less of an experiment than this are named, but are not a problem.
_SMALL: Final = 0.01


def losses_of(survey: Survey) -> tuple[Loss, ...]:
    """Return what each condition of each experiment lost, and to what."""
    found = []
    for experiment in survey.experiments:
        places, dropped = survey.of(experiment.name), survey.dropped.get(experiment.name, {})
        present = {one.condition for one in places} | {one for one in dropped if one != ""}
        for condition in sorted(present, key=lambda one: (one is None, one or "")):
            own = [one for one in places if one.condition == condition]
            reasons = dict(dropped.get(condition, {}))
            alone = not survey.asks(experiment.name)
            found.append(_loss(experiment.name, condition, own, reasons, alone=alone))
        if any(dropped.get("", {}).values()):
            found.append(_loss(experiment.name, "", (), dict(dropped[""]), alone=False))
    return tuple(found)


def snapshots(survey: Survey) -> Iterator[Finding]:
    """Name experiments whose cells have no later relative because there is one frame."""
    names = [one.name for one in survey.experiments if one.name in survey.snapshots]
    if names and survey.later:
        rows = sum(_sum(survey.of(name))[0] for name in names)
        yield Finding(
            "fine",
            "snapshot",
            f"{number(len(names), 'experiment')} of one time point ({listed(names)}): no cell has a later "
            f"relative; positive='self' and Pairing(by=...) take all {number(rows, 'anchor')}.",
            {"experiments": names, "rows": rows},
        )


def lost_experiments(survey: Survey) -> Iterator[Finding]:
    """Name experiments that no anchor is left of, with the tau that would work."""
    remedy = _remedy(survey)
    for experiment in survey.experiments:
        places = survey.of(experiment.name)
        rows, valid = _sum(places)
        alone = not survey.asks(experiment.name)
        if valid or (rows and alone) or (not alone and asked_frames(survey.tau, experiment) is None):
            continue
        name = quoted(experiment.name)
        numbers = {"experiment": experiment.name, "rows": rows, "tracks": sum_tracks(places)[0]}
        if not rows:
            reasons = losses_text(survey, experiment.name)
            if any(line.startswith(f"experiment {experiment.name!r}:") for line in survey.broken):
                continue
            yield Finding(
                "problem",
                "lost",
                f"Experiment {name} has no row at all{reasons}; see tracks_path, condition_wells and "
                "exclude_fovs.",
                numbers,
            )
            continue
        why, more = _why(survey, experiment)
        yield Finding(
            "problem",
            "tau",
            f"Experiment {name} is lost: none of its {number(rows, 'row')} has a positive within "
            f"{_range_text(survey.tau, experiment)}{why}{remedy}",
            numbers | more,
        )


def lost_conditions(survey: Survey) -> Iterator[Finding]:
    """Name conditions of which an experiment that has anchors has none."""
    for experiment in survey.movies:
        places = survey.of(experiment.name)
        if not _sum(places)[1]:
            continue
        for condition, wells in (experiment.condition_wells or {}).items():
            own = [one for one in places if one.condition == condition]
            rows, valid = _sum(own)
            if valid:
                continue
            where = f"Condition {quoted(condition)} of experiment {quoted(experiment.name)} has nothing left"
            numbers = {"experiment": experiment.name, "condition": condition, "rows": rows}
            if rows:
                text = (
                    f"{where}: none of its {number(rows, 'row')} has a positive within tau; {_widen(survey)}"
                )
            else:
                text = f"{where}: no cell of its wells ({listed(wells)}) is in the table; see their tracks."
            yield Finding("problem", "condition", text, numbers)


def lost_fovs(survey: Survey) -> Iterator[Finding]:
    """Name fields of view whose cells have no positive, though others of the experiment have."""
    for experiment in survey.movies:
        places = survey.of(experiment.name)
        rows, valid = _sum(places)
        lost = [one for one in places if not one.valid_rows]
        gone = sum(one.rows for one in lost)
        if not valid or not lost:
            continue
        yield Finding(
            "problem" if gone >= _SMALL * rows else "remark",
            "tau",
            f"Experiment {quoted(experiment.name)} has lost {len(lost)} of {len(places)} fields of view: no "
            "cell of "
            f"{listed(one.fov for one in lost)} has a positive within {_range_text(survey.tau, experiment)}; "
            f"{_widen(survey)}",
            {"experiment": experiment.name, "fovs": [one.fov for one in lost], "rows": gone},
        )


def lost_rows(survey: Survey) -> Iterator[Finding]:
    """Say where most rows have no positive, and where many detections were left out."""
    for experiment in survey.experiments:
        rows, valid = _sum(survey.of(experiment.name))
        name = quoted(experiment.name)
        if valid and valid < MUCH * rows and survey.asks(experiment.name):
            yield Finding(
                "remark",
                "tau",
                f"Experiment {name}: {number(rows - valid, 'row')} of {rows:,} have no positive within "
                f"{_range_text(survey.tau, experiment)}; {_widen(survey)}",
                {"experiment": experiment.name, "rows": rows, "lost": rows - valid},
            )
        counts = survey.dropped.get(experiment.name, {}).values()
        dropped = sum(sum(one.values()) for one in counts)
        if rows and dropped > _DROPPED_MUCH * (rows + dropped):
            yield Finding(
                "remark",
                "dropped",
                f"Experiment {name}: {number(dropped, 'detection')} of {rows + dropped:,} are not in the "
                "table"
                f"{losses_text(survey, experiment.name)}.",
                {"experiment": experiment.name, "dropped": dropped, "read": rows + dropped},
            )


def without_tracks(survey: Survey) -> Iterator[Finding]:
    """Name fields of view that have images and no tracks."""
    for name, fovs in survey.without_tracks.items():
        yield Finding(
            "remark",
            "tracks",
            f"Experiment {quoted(name)}: no tracks in {number(len(fovs), 'field')} of view, {listed(fovs)}; "
            "name them "
            "under exclude_fovs if that is meant.",
            {"experiment": name, "fovs": list(fovs)},
        )


def unknown_intervals(survey: Survey) -> Iterator[Finding]:
    """Name experiments whose tau in hours cannot be counted in frames."""
    for one in survey.movies:
        if asked_frames(survey.tau, one) is None:
            yield Finding(
                "problem",
                "tau",
                f"Experiment {quoted(one.name)}: a tau in hours needs interval_minutes, which is not known; "
                "set it in "
                "the experiments file, or give --tau-frames.",
                {"experiment": one.name},
            )


def losses_text(survey: Survey, experiment: str) -> str:
    """Return ": 3 this, 4 that" of what was left out of an experiment, or nothing."""
    total: dict[str, int] = {}
    for counts in survey.dropped.get(experiment, {}).values():
        for reason, count in counts.items():
            total[reason] = total.get(reason, 0) + count
    return f": {', '.join(f'{count:,} {reason}' for reason, count in total.items())}" if total else ""


def _loss(
    experiment: str,
    condition: str | None,
    places: Sequence[Place],
    dropped: dict[str, int],
    *,
    alone: bool,
) -> Loss:
    """Return what a condition lost; of cells that are to stand ``alone`` no later relative is asked."""
    rows, valid = _sum(places)
    reasons = dropped | ({NO_POSITIVE: rows - valid} if rows > valid and not alone else {})
    tracks, alive = sum_tracks(places)
    lost = None if tracks is None or alive is None else 0 if alone else tracks - alive
    return Loss(experiment, condition, tracks, rows + sum(dropped.values()), lost, reasons)


def sum_tracks(places: Sequence[Place]) -> tuple[int | None, int | None]:
    """Return tracks, and those that have a row with a positive; None where they were not counted."""
    if any(one.tracks is None for one in places):
        return None, None
    return sum(one.tracks or 0 for one in places), sum(one.valid_tracks or 0 for one in places)


def _sum(places: Sequence[Place]) -> tuple[int, int]:
    return sum(one.rows for one in places), sum(one.valid_rows for one in places)


def _why(survey: Survey, experiment: Experiment) -> tuple[str, dict[str, object]]:
    """Return what the tracks say, and the numbers."""
    fit = (survey.fits or {}).get(experiment.name)
    if fit is None:
        return "", {}
    numbers: dict[str, object] = {"gap_frames": fit.gap, "frames": fit.frames, "valid": fit.valid}
    if fit.frames is None:
        return ", and none has a later detection of its cell: use positive='self', or see the tracks", numbers
    minutes = experiment.interval_minutes
    hours = f", {fit.gap * minutes / 60:.4g} h" if minutes is not None else ""
    asked = asked_frames(survey.tau, experiment)
    empty = asked is not None and asked[0] > asked[1]
    what = "a frame" if fit.gap == 1 else f"the next detection of a cell within {fit.gap} frames"
    gap = (
        f": no whole frame lies in it, as {what} is{hours.removeprefix(',')}"
        if empty and fit.gap == 1
        else ""
    )
    gap = gap or f": the next detection of a cell is {number(fit.gap, 'frame')}{hours} away"
    low, high = fit.frames
    span = f"{low}" if low == high else f"{low} to {high}"
    return f"{gap}; {span} frames would give {fit.valid:,} of {fit.rows:,} one", numbers


def _remedy(survey: Survey) -> str:
    fits = survey.fits
    if fits is None:
        return "; 'viscy-data check' says which tau would work."
    better = better_tau(survey.tau, fits, survey.experiments)
    return "." if better is None else f": index with {tau_option(better)}."


def _widen(survey: Survey) -> str:
    better = None if survey.fits is None else better_tau(survey.tau, survey.fits, survey.experiments)
    if better is None or better == survey.tau:
        return "widen tau, or see the tracks' lengths and gaps."
    return f"index with {tau_option(better)}."


def _range_text(tau: TauRange, experiment: Experiment) -> str:
    """Return "tau = 0.5 to 1.5 h (1 to 3 frames)"."""
    asked = asked_frames(tau, experiment)
    span = "" if asked is None else "no frame" if asked[0] > asked[1] else _span(*asked)
    if tau.hours is None:
        return f"tau = {span}"
    return f"tau = {tau.hours[0]:g} to {tau.hours[1]:g} h" + (f" ({span})" if span else "")


def _span(low: int, high: int) -> str:
    return number(low, "frame") if low == high else f"{low} to {high} frames"
