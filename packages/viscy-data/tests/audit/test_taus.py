"""Times to positives drawn per anchor and per frame."""

import numpy as np
import pandas as pd
import pytest

from viscy_data import BatchPlan, FlexibleBatchSampler, Grouping, IndexBatch, Locality
from viscy_data.audit.taus import Taus
from viscy_data.tables.positives import Positives


@pytest.fixture
def anchors() -> pd.DataFrame:
    """Sixteen tracks of twelve frames in each of eight fields of view."""
    rows = [("a", f"A/1/{fov}", t, track, -1) for fov in range(8) for t in range(12) for track in range(16)]
    return pd.DataFrame(rows, columns=["experiment", "fov", "t", "track_id", "parent_track_id"])


def test_taus_per_frame_read_as_many_frames_again(anchors: pd.DataFrame) -> None:
    tau = {"a": (1, 3)}
    valid = np.flatnonzero(Positives(anchors, tau).has_positive)
    plan = BatchPlan(32, grouping=Grouping("experiment"), locality=Locality(frames=4))
    sampler = FlexibleBatchSampler.from_plan(anchors.iloc[valid], plan)
    batches = [
        IndexBatch(valid[np.asarray(one)].tolist(), epoch=0, number=number)
        for number in range(sampler.batches_per_epoch)
        for one in [sampler.batch(number, epoch=0)]
    ]
    taus = Taus.of(anchors, tau, batches)
    per_anchor, per_frame = taus.frames
    assert per_frame <= 8 < per_anchor <= 16
    assert set(taus.shares) == {1, 2, 3}
    for nth in range(2):
        assert sum(share[nth] for share in taus.shares.values()) == pytest.approx(1)
    near, far = taus.shares[1], taus.shares[3]
    assert near[0] > 2 * far[0]
    assert near[1] == pytest.approx(near[0], abs=0.12)
    table = taus.table()
    assert table.headings == ("", "per anchor", "per frame")
    assert table.rows[-1] == ("frames read for a batch", f"{per_anchor:.1f}", f"{per_frame:.1f}")
