"""Findings about pixels, from the statistics that `index` computed: nothing is read here."""

from collections.abc import Iterator

from viscy_data.check.finding import Finding
from viscy_data.check.survey import Survey


def blank_frames(survey: Survey) -> Iterator[Finding]:
    """Say which frames are blank or hold pixels that are not finite, as far as images were read."""
    if survey.statistics is None:
        yield Finding(
            "fine",
            "images",
            "Images were not read: blank and non-finite frames are not known. 'viscy-data index' reads "
            "them, unless "
            "--no-statistics is given.",
        )
