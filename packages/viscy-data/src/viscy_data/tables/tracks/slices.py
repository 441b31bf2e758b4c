"""The slice of a cell as far as its tracks decide it, and what is not believed of them.

Trackers that work in two dimensions write z = 0 where they know none. Believed, it shows the first slice of a
stack, which is out of focus or holds nothing, in every patch; and no number looks wrong. So a z that is 0 in
every row of a file, beside a stack of several slices, is refused: ``z`` of the experiments file
says what is meant. Another z that never changes was written by somebody who chose a slice, and is believed.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from viscy_data.columns import Z
from viscy_data.errors import TracksError
from viscy_data.tables.experiment import Experiment, FovInfo
from viscy_data.tables.tracks.detections import Detections


def with_slices(found: Detections, experiment: Experiment, fovs: Sequence[FovInfo]) -> Detections:
    """Return detections with the slices that the experiments file asks for.

    Parameters
    ----------
    found, fovs
        The detections of one file, and the fields of view that their ``fov`` counts.
    experiment
        Its ``z`` decides: that of its leading channel (:mod:`viscy_data.tables.z_policy`).

    Raises
    ------
    TracksError
        Where z is a placeholder and nothing says what to take, or a stack lacks the slice asked for.
    """
    policy = experiment.slices
    depth = np.array([info.shape[2] for info in fovs])[found.fov]
    for number in policy.of_channel.values():
        if isinstance(number, int):
            found.refuse(depth <= number, Z, f"z={number} is not a slice of the stack: slices count from 0")
    match policy.of_channel[policy.leading]:
        case None:
            _refuse_placeholder(found, fovs)
            return found
        case "tracks":
            return found
        case int(number):
            return replace(found, z=np.full(len(found.t), number, dtype=np.float64))
    return replace(found, z=None)  # the middle one, or that in focus, which is not known here


def _refuse_placeholder(found: Detections, fovs: Sequence[FovInfo]) -> None:
    z = found.z
    if z is None or not len(z) or abs(z[0]) >= 0.5 or (z != z[0]).any():  # it rounds to slice 0
        return
    depth = np.array([info.shape[2] for info in fovs])[found.fov]
    if depth.max() > 1:
        last = int(depth.max()) - 1
        raise TracksError(
            f"{found.file}: column 'z': 0 in every row, while images have {last + 1} slices: that is a "
            "placeholder, not a place. Set z in the experiments file to 'focus' for the slice that is "
            "sharpest in each frame, to 'middle' for the middle slice, to "
            f"a number from 0 to {last} for the slice that is in focus, or to 'tracks' where cells do lie in "
            "slice 0; or write the cells' slices into the tracks."
        )
