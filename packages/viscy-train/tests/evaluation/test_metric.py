import json
from functools import partial

import pytest

from viscy_data.errors import InvalidInputError
from viscy_train.evaluation.metric import Definition, Metric, NotAvailable

WHAT = Definition("a/b", "a", "higher", "how")


@pytest.mark.parametrize("field", ["value", "low", "high", "shuffled"])
def test_a_number_that_is_not_finite_is_refused(field: str) -> None:
    numbers = {"value": 1.0, "low": 0.0, "high": 2.0, "shuffled": 0.5} | {field: float("nan")}
    make = partial(Metric, WHAT, n=1, units=1)
    with pytest.raises(InvalidInputError, match=f"{field}=nan of metric 'a/b'"):
        make(**numbers)  # type: ignore[arg-type]  # floats for the float fields only


def test_outcomes_are_plain_values_for_json() -> None:
    there = json.loads(json.dumps(Metric(WHAT, 1.0, 0.0, 2.0, 0.5, 3, 2).to_dict()))
    assert (there["available"], there["value"], there["definition"]["better"]) == (True, 1.0, "higher")
    missing = json.loads(json.dumps(NotAvailable(WHAT, "because").to_dict()))
    assert (missing["available"], missing["reason"]) == (False, "because")
