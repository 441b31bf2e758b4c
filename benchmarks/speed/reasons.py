"""Why a rival has the better figure, where one has: by its library and the figure."""

SMALL = "so few anchors are soon drawn whole; ours draws 256 batches before the first, whatever their number"
BLOCK = "so few anchors weigh less than the 256 batches that ours holds at a time"
LISTED = "its batch is a slice of one list of the whole epoch, made when that begins, on every rank anew"
DRAWN = "the batches of its pass are a list by then: what they cost is counted in the first batch"
SKIPPED = (
    "it goes to its place in the list of each source; ours sorts the table, and checks it against the state"
)
ONE = "it draws one batch; ours sorts the table, and draws 256 batches before the first"
COMPUTED = (
    "it keeps at most the rows of each source, and computes row by row: a batch costs 50 times ours or more"
)
LAID_OUT = "a whole epoch in a few array operations when it begins; first batch, resume and ranks pay for it"
COUNTED = "it needs the number of samples of each stream, where ours sorts a column with a value per anchor"

WHY = {
    ("torch", "first_s"): SMALL,
    ("torch", "batch_s"): LISTED,
    ("torch", "ranks_8_s"): LISTED,
    ("torch", "ranks_64_s"): LISTED,
    ("torch", "resume_s"): SMALL,
    ("torch", "peak_bytes"): BLOCK,
    ("torch", "kept_bytes"): BLOCK,
    ("pml", "batch_s"): DRAWN,
    ("pml", "ranks_8_s"): DRAWN,
    ("pml", "first_s"): SMALL,
    ("pml", "peak_bytes"): BLOCK,
    ("pml", "kept_bytes"): BLOCK,
    ("torchdata", "first_s"): ONE,
    ("torchdata", "resume_s"): SKIPPED,
    ("torchdata", "ranks_8_s"): SMALL,
    ("torchdata", "ranks_64_s"): SMALL,
    ("torchdata", "peak_bytes"): BLOCK,
    ("torchdata", "kept_bytes"): BLOCK,
    ("grain", "first_s"): COMPUTED,
    ("grain", "resume_s"): COMPUTED,
    ("grain", "peak_bytes"): COMPUTED,
    ("grain", "kept_bytes"): COMPUTED,
    ("Streaming", "first_s"): COUNTED,
    ("Streaming", "batch_s"): LAID_OUT,
    ("Streaming", "ranks_8_s"): LAID_OUT,
    ("Streaming", "resume_s"): COUNTED,
    ("Streaming", "peak_bytes"): BLOCK,
    ("Streaming", "kept_bytes"): BLOCK,
}


def why(rival: str, figure: str) -> str:
    """Return the reason; a rival is named with its library first."""
    return WHY.get((rival.split(maxsplit=1)[0], figure), "not looked into yet")
