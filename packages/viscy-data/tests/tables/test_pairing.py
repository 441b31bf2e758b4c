from typing import Any

import numpy as np
import pandas as pd
import pytest

from viscy_data.errors import InvalidInputError
from viscy_data.tables.experiment import Experiment
from viscy_data.tables.experiments import Experiments
from viscy_data.tables.pairing import Pairing, check_positive, columns_of, positives_of, say_without
from viscy_data.tables.positives import Positives
from viscy_data.tables.same_values import SameValuePositives
from viscy_data.tables.tau import TauRange

TAU = TauRange(frames=(1, 2))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"sisters": 1}, "sisters=1 is neither"),
        ({"decay": -1.0}, "decay=-1.0: a finite number >= 0"),
        ({"decay": float("nan")}, "decay=nan: a finite number >= 0"),
        ({"tau_per": "batch"}, "tau_per='batch': allowed is 'anchor', 'frame'"),
        ({"by": ()}, r"by=\(\) is not a column name"),
        ({"by": ["gene", "gene"]}, "by=.* is not a column name or several different ones"),
        ({"by": 3}, "by=3 is not a column name"),
        ({"by": "gene", "within": "well"}, "within='well': 'experiment' .* or None"),
        ({"within": None}, "within=None: .* give their columns in by"),
        ({"by": "gene", "tau": TAU}, "tau=TauRange.* belongs to positives of the same lineage"),
        ({"by": "gene", "sisters": True}, "sisters=True: it belongs to positives of the same lineage"),
        ({"by": "gene", "decay": 0.0}, "decay=0.0: it belongs to"),
        ({"by": "gene", "tau_per": "frame"}, "tau_per='frame': it belongs to"),
        ({"across": "channel"}, "across='channel': 'marker' .* or None are allowed"),
        ({"across": "marker", "by": "gene"}, "across='marker' with by=.*the same cell or another one"),
        ({"across": "marker", "sisters": True}, "sisters=True: .* takes the same frame; give tau, too"),
        ({"across": "marker", "within": None}, "within=None: .* give their columns in by"),
    ],
)
def test_a_pairing_refuses(options: dict[str, Any], match: str) -> None:
    with pytest.raises(InvalidInputError, match=match):
        Pairing(**options)


def test_columns_become_a_tuple_so_that_equal_pairings_are_equal() -> None:
    assert Pairing(by="gene") == Pairing(by=("gene",))
    assert hash(Pairing(by=["gene", "dose"])) == hash(Pairing(by=("gene", "dose")))


@pytest.mark.parametrize(
    ("positive", "pairing", "match"),
    [
        ("other", Pairing(), "positive='other': allowed is 'lineage', 'self'"),
        ("self", Pairing(sisters=True), "positive='self' with pairing: sisters=True"),
        ("self", Pairing(by="gene"), "positive='self' with pairing: by=.*leave one of them out"),
        ("lineage", Pairing(by="gene"), "positive='lineage' with pairing: by="),
        ("lineage", Pairing(across="marker"), "positive='lineage' with pairing: across='marker'"),
        ("self", Pairing(across="marker"), "positive='self' with pairing: across='marker'"),
    ],
)
def test_what_contradicts_is_refused(positive: str, pairing: Pairing, match: str) -> None:
    with pytest.raises(InvalidInputError, match=match):
        check_positive(positive, pairing)


def experiments(**changes: Any) -> Experiments:
    given: dict[str, Any] = {"name": "a", "data_path": "a.zarr", "tracks_path": "a", "channels": ["Phase"]}
    return Experiments(experiments=(Experiment(**(given | changes)),))


def table(frames: int) -> pd.DataFrame:
    rows = [(track, t) for t in range(frames) for track in range(3)]
    return pd.DataFrame(rows, columns=["track_id", "t"]).assign(
        experiment="a", well="A/1", fov="A/1/0", parent_track_id=-1, gene=["x", "x", "y"] * frames
    )


def test_each_rule_makes_its_own_of_a_table() -> None:
    anchors = table(3)
    assert positives_of(anchors, experiments(), positive="self") is None
    lineage = positives_of(anchors, experiments(), tau=TAU)
    assert isinstance(lineage, Positives)
    assert lineage.has_positive.tolist() == [True] * 6 + [False] * 3
    by_gene = positives_of(anchors, experiments(), pairing=Pairing(by="gene"))
    assert isinstance(by_gene, SameValuePositives)
    assert by_gene.has_positive.tolist() == [True, True, False] * 3
    with pytest.raises(InvalidInputError, match=r"pairing.tau=None: it must be given"):
        positives_of(anchors, experiments())


def channels(frames: int) -> pd.DataFrame:
    both = [table(frames).assign(channel=name, marker=name.lower()) for name in ("BF", "RFP")]
    return pd.concat(both).sort_values(["t", "track_id", "channel"], ignore_index=True)


@pytest.mark.parametrize(
    ("positive", "pairing"),
    [
        (None, Pairing()),
        ("self", Pairing()),
        (None, Pairing(by=["gene", "t"])),
        (None, Pairing(across="marker")),
        (None, Pairing(across="marker", tau=TAU)),
    ],
)
@pytest.mark.parametrize("samples", ["cells", "channels"])
def test_the_columns_of_a_rule_are_all_that_it_needs(
    positive: str | None, pairing: Pairing, samples: str
) -> None:
    anchors = table(3) if samples == "cells" and not pairing.across else channels(3)
    needed = anchors[[name for name in columns_of(positive, pairing) if name in anchors]]
    options: dict[str, Any] = {"positive": positive, "pairing": pairing, "tau": TAU}
    found, whole = (positives_of(one, experiments(), **options) for one in (needed, anchors))
    if whole is not None and found is not None:
        assert found.has_positive.tolist() == whole.has_positive.tolist()


@pytest.mark.parametrize("tau", [TauRange(hours=(0.5, 1.5)), TauRange(hours=(0.1, 0.2)), TAU])
@pytest.mark.parametrize("minutes", [None, 0.0, 30.0])
def test_no_range_of_times_is_asked_of_one_frame(tau: TauRange, minutes: float | None) -> None:
    """Not of its interval, and not that the range holds a frame."""
    found = positives_of(table(1), experiments(interval_minutes=minutes), tau=tau)
    assert found is not None
    assert not found.has_positive.any()


def test_an_interval_of_zero_is_a_snapshot_however_many_frames_there_are() -> None:
    found = positives_of(table(2), experiments(interval_minutes=0.0), tau=TAU)
    assert found is not None
    assert not found.has_positive.any()


def test_movies_of_no_known_interval_are_still_refused() -> None:
    with pytest.raises(InvalidInputError, match="the interval is not known"):
        positives_of(table(2), experiments(), tau=TauRange(hours=(0.5, 1.5)))


def test_parts_are_of_pairs_by_values_and_of_every_row() -> None:
    by_gene = Pairing(by="gene")
    found = positives_of(table(1), experiments(), pairing=by_gene, parts=np.array([0, 1, 0]))
    assert found is not None
    assert not found.has_positive.any()
    with pytest.raises(InvalidInputError, match=r"parts.shape=\(2,\): \(3,\) is needed"):
        positives_of(table(1), experiments(), pairing=by_gene, parts=np.array([0, 1]))
    with pytest.raises(InvalidInputError, match="parts: pairs of the rule 'self'"):
        positives_of(table(1), experiments(), positive="self", parts=np.array([0, 1, 0]))


def test_markers_need_a_row_for_each_channel() -> None:
    with pytest.raises(InvalidInputError, match=r"across='marker': .* 'samples: channels'"):
        positives_of(table(2), experiments(), pairing=Pairing(across="marker"))


def test_what_is_missing_is_said() -> None:
    assert "shows no other marker in its frame" in say_without(None, Pairing(across="marker"))
    assert say_without(None, Pairing(across="marker", tau=TAU)).endswith("there and within tau")
    assert say_without(None, Pairing(by="gene")) == "no other cell of their experiment has the same gene"
