import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from index_cases import build, die, refuse, write_experiments

from viscy_data.errors import InvalidInputError, TracksError, ViscyDataError
from viscy_data.indexing import workers
from viscy_data.indexing.workers import Workers

JOBS = [3, 1, 2, 5]


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    distributed = pytest.importorskip("distributed", reason="the extra 'dask' is not installed")
    options: dict[str, Any] = {"n_workers": 2, "threads_per_worker": 1, "processes": True}
    with distributed.LocalCluster(**options, dashboard_address=":0") as local:
        yield local.scheduler_address


@pytest.fixture(params=["here", "processes", "dask"])
def some(request: pytest.FixtureRequest) -> Iterator[Workers]:
    dask = request.getfixturevalue("cluster") if request.param == "dask" else None
    with Workers(2 if request.param == "processes" else 1, dask) as workers:
        yield workers


def test_jobs_have_their_own_results_and_errors_come_through(some: Workers) -> None:
    assert sorted(some.run(abs, JOBS)) == [(job, job) for job in sorted(JOBS)]
    assert list(some.run(abs, [])) == []
    with pytest.raises(TracksError, match="the file"):
        list(some.run(refuse, JOBS))


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL on this system")
def test_a_process_that_dies_is_an_error_and_not_a_hang() -> None:
    with Workers(2) as workers, pytest.raises(ViscyDataError, match="processes=2: one of them died"):
        list(workers.run(die, JOBS))


def test_any_workers_write_the_same_bytes(tmp_path: Path, write_store: Any, cluster: str) -> None:
    write_experiments(tmp_path, write_store)
    found = []
    for options in ({"processes": 1}, {"processes": 2}, {"dask": cluster}):
        summary = build(tmp_path, **options)
        found.append((summary, summary.anchors_path.read_bytes(), summary.statistics_path.read_bytes()))
        summary.anchors_path.unlink()
        summary.statistics_path.unlink()
    assert all(one == found[0] for one in found[1:])


def test_a_cluster_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed", reason="the extra 'dask' is not installed")
    monkeypatch.setattr(workers, "_TIMEOUT", 0.2)
    with pytest.raises(ViscyDataError, match=r"dask='tcp://127.0.0.1:9': no Dask scheduler"):
        list(Workers(dask="tcp://127.0.0.1:9").run(abs, JOBS))


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InvalidInputError, match=r"'distributed' is not installed; .*viscy-data\[dask\]"):
        list(Workers(dask="tcp://127.0.0.1:9").run(abs, JOBS))
