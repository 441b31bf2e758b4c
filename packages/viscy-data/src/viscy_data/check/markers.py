"""Findings about markers, where a row is one channel of a cell.

Channels of experiments meet by what they show. A batch of one marker holds what the experiments file calls
by one name, so a marker that is spelt in two ways is two, and one that two channels of a cell share puts that
cell into a batch twice. Neither is an error of the file, and neither shows in a table of counts.
"""

from collections.abc import Iterator

from viscy_data.check.finding import Finding
from viscy_data.check.survey import Survey
from viscy_data.check.words import listed, number, quoted
from viscy_data.tables.experiment import Experiment

_TOPIC = "markers"


def held(survey: Survey) -> Iterator[Finding]:
    """Say which markers there are, and in how many experiments each."""
    found = {marker: len(names) for marker, names in _experiments_of(survey).items()}
    if found:
        counts = (f"{marker} in {number(count, 'experiment')}" for marker, count in found.items())
        text = f"A row is one channel of a cell: {listed(counts)}."
        yield Finding("fine", _TOPIC, text, {"experiments": found})


def ambiguous_channels(survey: Survey) -> Iterator[Finding]:
    """Say where channels of one name show different things."""
    shown: dict[str, dict[str, list[str]]] = {}
    for one in _by_channel(survey):
        for channel in one.channels:
            shown.setdefault(channel, {}).setdefault(one.marker_of(channel), []).append(one.name)
    for channel, by_marker in sorted(shown.items()):
        if len(by_marker) > 1:
            meanings = (f"{marker} in {listed(names)}" for marker, names in sorted(by_marker.items()))
            yield Finding(
                "remark",
                _TOPIC,
                f"Channel {quoted(channel)} shows {'; '.join(meanings)}: group and balance by marker rather "
                "than by channel.",
                {"channel": channel, "markers": by_marker},
            )


def twice_shown(survey: Survey) -> Iterator[Finding]:
    """Say where several channels of an experiment show one thing."""
    found: dict[str, dict[str, list[str]]] = {}
    for one in _by_channel(survey):
        for channel in one.channels:
            found.setdefault(one.name, {}).setdefault(one.marker_of(channel), []).append(channel)
    pairs = {
        (name, marker): channels
        for name, markers in found.items()
        for marker, channels in markers.items()
        if len(channels) > 1
    }
    if pairs:
        texts = (f"{marker} in {name} ({', '.join(channels)})" for (name, marker), channels in pairs.items())
        yield Finding(
            "remark",
            _TOPIC,
            f"Several channels of one experiment show one marker: {listed(texts)}; a batch of that marker "
            "may hold a cell in each. at_most: {by: cell_id} keeps them apart.",
            {"channels": {f"{name}/{marker}": channels for (name, marker), channels in pairs.items()}},
        )


def alike(survey: Survey) -> Iterator[Finding]:
    """Say which markers may be one, spelt in several ways."""
    spelt: dict[str, list[str]] = {}
    for marker in sorted(_experiments_of(survey)):
        bare = "".join(filter(str.isalnum, marker.casefold()))
        spelt.setdefault(bare or marker, []).append(marker)
    for names in spelt.values():
        if len(names) > 1:
            yield Finding(
                "remark",
                _TOPIC,
                f"Markers {listed(map(quoted, names))} differ in capitals, spaces or signs only, and count "
                "as different: write them alike in the experiments file where they are one.",
                {"markers": names},
            )


def of_one_experiment(survey: Survey) -> Iterator[Finding]:
    """Say which markers one experiment alone has."""
    experiments = _experiments_of(survey)
    alone = {marker: names[0] for marker, names in experiments.items() if len(names) == 1}
    count = len(list(_by_channel(survey)))
    if alone and count > 1:
        pairs = (f"{marker} in {name}" for marker, name in alone.items())
        yield Finding(
            "remark",
            _TOPIC,
            f"Markers of one experiment of {count}: {listed(pairs)}; a batch of such a marker is of that "
            "experiment, and what tells it from other markers may be the experiment.",
            {"markers": alone},
        )


def _by_channel(survey: Survey) -> Iterator[Experiment]:
    return (one for one in survey.experiments if one.samples == "channels")


def _experiments_of(survey: Survey) -> dict[str, list[str]]:
    """Return the experiments that have each marker, by marker."""
    found: dict[str, list[str]] = {}
    for one in _by_channel(survey):
        for marker in dict.fromkeys(map(one.marker_of, one.channels)):
            found.setdefault(marker, []).append(one.name)
    return dict(sorted(found.items()))
