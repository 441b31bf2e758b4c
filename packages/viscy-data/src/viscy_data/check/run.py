"""The checks themselves: of an anchors table, of an experiments file, or of either in its shortest form.

A *light* is the check that other commands run in passing: it reads few columns of the table, a block at a
time, and opens no store. The whole check opens stores' metadata, looks for the tau that would work, and for
cells that share a patch. Neither reads a pixel: what is known of images comes from the statistics that
`index` made.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from viscy_data.check import design, images, losses, markers, pixels
from viscy_data.check.finding import CheckReport, Finding, sorted_findings
from viscy_data.check.survey import Survey, survey_anchors, survey_experiments
from viscy_data.check.words import number
from viscy_data.tables.tau import TauRange
from viscy_data.text import shown_lines

type Rule = Callable[[Survey], Iterator[Finding]]

RULES: Final[tuple[Rule, ...]] = (
    losses.snapshots,
    losses.unknown_intervals,
    losses.lost_experiments,
    losses.lost_conditions,
    losses.lost_fovs,
    losses.lost_rows,
    losses.without_tracks,
    design.confounded,
    markers.ambiguous_channels,
    markers.twice_shown,
    markers.alike,
    markers.of_one_experiment,
    markers.held,
    images.shared_places,
    pixels.odd_frames,
    images.flat_z,
    images.borders,
    images.shapes,
    images.pixel_sizes,
    images.notes,
    design.unknown,
)
"""What is looked at; each rule says nothing where it has nothing to say."""


def check_anchors(
    path: str | Path, *, thorough: bool = True, progress: bool = False, later: bool = True
) -> CheckReport:
    """Check an anchors table: what was lost, to what, and what to set instead.

    Parameters
    ----------
    path
        The table that ``viscy-data index`` wrote.
    thorough
        Open the stores' metadata, look for the tau that would work, and for cells that share a patch; False:
        the light that other commands run.
    progress
        Show a progress bar.
    later
        Positives are to be later relatives; False: another rule makes them, and no tau is asked of anything.

    Raises
    ------
    InvalidInputError
        The file is not an anchors table, or cannot be read.

    Notes
    -----
    A light reads names, one flag and one number of each row, a block of rows at a time, and keeps a few
    numbers for each field of view; the whole check reads some thirty bytes a row, and keeps 8 for each track.
    """
    path = Path(path)
    return report_of(path, survey_anchors(path, thorough=thorough, progress=progress, later=later))


def check_experiments(
    path: str | Path,
    *,
    tau: TauRange | None = None,
    patch_size: tuple[int, int] = (64, 64),
    progress: bool = False,
) -> CheckReport:
    """Check an experiments file before it is indexed: metadata and tracks, and no pixel.

    Parameters
    ----------
    path
        The experiments file.
    tau, patch_size
        As for ``build_index``; tau None: 0.5 to 1.5 hours.
    progress
        Show progress bars.

    Raises
    ------
    ExperimentsFileError
        The file cannot be read at all. What is wrong in it is a problem among the findings.
    """
    path = Path(path)
    chosen = TauRange(hours=(0.5, 1.5)) if tau is None else tau
    return report_of(path, survey_experiments(path, tau=chosen, patch_size=patch_size, progress=progress))


def report_of(path: Path, survey: Survey) -> CheckReport:
    """Return what the rules find in a survey."""
    found = [Finding("problem", "file", shown_lines(line)) for line in survey.broken]
    found += [finding for rule in RULES for finding in rule(survey)]
    rows, valid = (sum(getattr(one, name) for one in survey.places) for name in ("rows", "valid_rows"))
    tracks = losses.sum_tracks(survey.places)[0]
    counted = f" and {number(tracks, 'track')}" if tracks is not None else ""
    if rows:
        found.append(
            Finding(
                "fine",
                "held",
                f"{number(valid, 'anchor')} with a later relative, of {number(rows, 'row')}{counted} in "
                f"{number(len({one.experiment for one in survey.places}), 'experiment')}.",
                {"valid": valid, "rows": rows, "tracks": tracks},
            )
        )
    return CheckReport(path, sorted_findings(found), losses.losses_of(survey))
