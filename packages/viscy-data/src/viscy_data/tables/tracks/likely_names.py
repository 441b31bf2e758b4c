"""What programs call our columns: an error about a missing one proposes what the file probably calls it."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final

from viscy_data.columns import FOV, PARENT_TRACK_ID, SOURCE_ID, TRACK_ID, T, X, Y, Z

_OTHER_NAMES: Final = {  # in lower case
    TRACK_ID: ("trackid", "track", "tracklet_id", "particle", "track id", "label", "cell_id", "id"),
    T: ("frame", "time", "timepoint", "position_t", "frame_id", "time_point"),
    Y: ("position_y", "y_pixel", "y_px", "centroid-0", "centroid_y", "pos_y", "y_um"),
    X: ("position_x", "x_pixel", "x_px", "centroid-1", "centroid_x", "pos_x", "x_um"),
    FOV: ("position", "field", "fov_name", "site"),
    Z: ("position_z", "z_slice", "z_px", "pos_z", "z_um"),
    SOURCE_ID: ("id", "spot_id", "node_id"),
    PARENT_TRACK_ID: ("parenttrackid", "parent", "parent_id", "parent track id", "parent_track", "parentid"),
}


def likely_name(ours: str, held: Sequence[str], *, alike: bool = True) -> str | None:
    """Return which of the names ``held`` probably is one of our columns; None: none of them.

    Parameters
    ----------
    ours
        Our name of the column.
    held
        Names in the file.
    alike
        Whether a name that only looks alike may do.

    Examples
    --------
    >>> likely_name("track_id", ["TrackID", "FRAME"]), likely_name("t", ["TrackID", "FRAME"])
    ('TrackID', 'FRAME')
    >>> likely_name("y", ["TrackID", "FRAME"]) is None
    True
    """
    lower = {name.lower(): name for name in reversed(held)}
    found = next((lower[one] for one in (ours, *_OTHER_NAMES.get(ours, ())) if one in lower), None)
    near = get_close_matches(ours, held, n=1) if found is None and alike else []
    return near[0] if near else found
