"""Findings about pixels, as `index` counted them while it read all frames: nothing is read here."""

from collections.abc import Iterator

from viscy_data.check.finding import Finding
from viscy_data.check.survey import Survey
from viscy_data.check.words import number, quoted


def odd_frames(survey: Survey) -> Iterator[Finding]:
    """Say which experiments have frames that are blank or hold pixels that are not finite."""
    if survey.frames is None:
        yield Finding(
            "fine",
            "images",
            "Images were not read: blank and non-finite frames are not known. 'viscy-data index' reads them, "
            "unless --no-statistics is given.",
        )
        return
    for name, counts in survey.frames.items():
        frames, blank, odd = (counts.get(key, 0) for key in ("frames", "blank", "non_finite"))
        numbers = {"experiment": name, **counts}
        if blank:
            left_out = survey.dropped_for(name, "blank")
            where = f"Experiment {quoted(name)}: {number(blank, 'frame')} of {frames:,} blank"
            if left_out:
                text = f"{where}; {number(left_out, 'detection')} there are left out of the table."
            else:
                text = f"{where}, and their patches are in the table; index with --blank-frames drop."
            yield Finding("remark" if left_out else "problem", "images", text, numbers)
        if odd:
            yield Finding(
                "remark",
                "images",
                f"Experiment {quoted(name)}: {number(odd, 'frame')} of {frames:,} hold pixels that are not "
                "finite; they are filled in patches.",
                numbers,
            )
