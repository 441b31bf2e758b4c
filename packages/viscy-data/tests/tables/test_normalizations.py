import json
import re
from pathlib import Path
from typing import Any

import pytest

from viscy_data.errors import ExperimentsFileError, InvalidInputError
from viscy_data.tables.experiment import Experiment
from viscy_data.tables.experiments import Experiments
from viscy_data.tables.normalizations import Normalization, normalizations_of

CHOICES = [
    Normalization(),
    Normalization("median_iqr", "experiment"),
    Normalization("percentiles", "frame", (0.5, 99.5)),
    Normalization("none"),
]


@pytest.mark.parametrize("choice", CHOICES)
def test_a_choice_survives_json(choice: Normalization) -> None:
    assert Normalization.parse(json.loads(json.dumps(choice.as_dict()))) == choice


def test_choices_by_channel_and_in_order() -> None:
    channels = ["Phase", "RFP"]
    assert normalizations_of(None, channels) == (Normalization(), Normalization())
    assert normalizations_of("none", channels) == (Normalization("none"),) * 2
    assert normalizations_of({"level": "frame"}, channels) == (Normalization(level="frame"),) * 2
    by_name = {"RFP": {"method": "percentiles", "percentiles": [5, 95]}}
    assert normalizations_of(by_name, channels) == (
        Normalization(),
        Normalization("percentiles", percentiles=(5.0, 95.0)),
    )
    assert normalizations_of([CHOICES[1].as_dict(), "none"], channels) == (CHOICES[1], CHOICES[3])
    assert normalizations_of({"GFP": "none"}, channels, others=["GFP"]) == (Normalization(),) * 2


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ("minmax", "normalization method='minmax': one of mean_std, median_iqr, percentiles, none"),
        ({"level": "plate"}, "normalization level='plate': one of field, frame, experiment"),
        ({"RPF": "none"}, "'RPF' is not one of the channels, which are Phase, RFP. Did you mean 'RFP'?"),
        ({"Phase": {"metod": "none"}}, "unknown key 'metod'; .* Did you mean 'method'?"),
        ({"method": "none", "percentiles": [1, 99]}, "only method='percentiles' takes them"),
        ({"method": "percentiles", "percentiles": [1, 97]}, "two of 0, 0.1, .* the lower one first"),
        ({"method": "percentiles", "percentiles": [99, 1]}, "the lower one first"),
        ({"method": "percentiles", "percentiles": [True, 99]}, "the lower one first"),
        (["none"], "1 are given for 2 channels"),
        ({"Phase": 3}, "normalization=3: a method"),
        (7, "normalization=7: a method"),
    ],
)
def test_what_is_not_allowed_is_refused(choice: Any, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        normalizations_of(choice, ["Phase", "RFP"])


def experiment(name: str, channel: str, normalization: Any = None) -> Experiment:
    return Experiment(
        name=name,
        data_path=Path("a"),
        tracks_path=Path("a"),
        channels=(channel,),
        normalization=normalization,
    )


def test_the_experiments_file_takes_a_choice(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    file = tmp_path / "experiments.yaml"
    text = "experiments: [{name: a, data_path: a, tracks_path: a, channels: [P, R], normalization: %s}]"
    file.write_text(text % "{R: {method: percentiles, level: frame, percentiles: [1, 99]}}")
    (one,) = Experiments.load(file).experiments
    assert one.normalizations == (Normalization(), Normalization("percentiles", "frame", (1.0, 99.0)))
    file.write_text(text % "{Q: none}")
    with pytest.raises(ExperimentsFileError, match="'Q' is not one of the channels, which are P, R"):
        Experiments.load(file)


def test_one_channel_is_normalised_in_one_way() -> None:
    both = (experiment("a", "Phase", "none"), experiment("b", "BF", {"BF": "none"}))
    assert Experiments(experiments=both).experiments == both
    said = re.escape("'Phase' of 'a' and 'BF' of 'b' are one channel, and need one method and level")
    with pytest.raises(ValueError, match=said):
        Experiments(experiments=(both[0], experiment("b", "BF")))
