import numpy as np
import pytest

from viscy_train.evaluation import Definition, Metric
from viscy_train.report.charts import BatchLabels, batches_figure, metrics_figure

SIGNATURE = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize("conditions", [[], ["infected", "uninfected"], ["a", "b", "c"]])
def test_batches_are_drawn_with_and_without_conditions(conditions: list[str]) -> None:
    rng = np.random.default_rng(0)
    condition = rng.integers(0, len(conditions), (4, 16)) if conditions else np.full((4, 16), -1)
    labels = BatchLabels(rng.integers(0, 3, (4, 16)), condition, rng.random((4, 16)))
    png = batches_figure({"ours": labels, "random": labels}, ["a", "b", "c"], conditions, "frame")
    assert png.startswith(SIGNATURE)


@pytest.mark.parametrize("count", [1, 3, 4])
def test_any_number_of_metrics_is_drawn(count: int) -> None:
    definition = Definition("m", "m", "lower", "how")
    values = {name: Metric(definition, 0.5, 0.4, 0.6, 0.5, 9, 3) for name in ("composed", "random", "raw")}
    assert metrics_figure({f"metric {i}": values for i in range(count)}).startswith(SIGNATURE)
