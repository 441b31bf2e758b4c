import gc
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from viscy_data.sharing import Shared


def test_a_value_travels_by_file_and_comes_back_equal() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"a": rng.integers(0, 9, 10_000), "b": pd.Categorical(rng.choice(["x", "y"], 10_000))}
    )
    value = {"frame": frame, "empty": np.empty(0), "column": np.asfortranarray(rng.normal(size=(50, 3)))}
    sent = pickle.dumps(Shared(value))
    assert len(sent) < 2000
    shared = Shared(value)
    got = pickle.loads(pickle.dumps(shared)).value
    pd.testing.assert_frame_equal(got["frame"], frame)
    np.testing.assert_array_equal(got["column"], value["column"])
    assert got["empty"].size == 0


def test_arrays_that_come_back_are_read_only() -> None:
    shared = Shared(np.arange(100))
    got = pickle.loads(pickle.dumps(shared)).value
    with pytest.raises(ValueError, match="read-only"):
        got[0] = 1


def test_the_file_is_written_once_and_removed_with_the_value() -> None:
    shared = Shared(np.arange(100))
    first, second = (pickle.loads(pickle.dumps(shared)) for _ in range(2))
    path = Path(first._file[0])
    assert second._file[0] == str(path)
    assert path.exists()
    del shared
    gc.collect()
    assert not path.exists()
    assert int(first.value.sum()) == 4950
