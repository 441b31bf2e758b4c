"""What a model was trained on, found again in a table that names its channels otherwise."""

from pathlib import Path

import pytest

from viscy_data import Experiment, Experiments, InvalidInputError
from viscy_train.models.fitting import _window
from viscy_train.packed import TrainedOn
from viscy_train.packed.trained_on import also_by_marker


def experiment(name: str, channels: dict[str, str]) -> Experiment:
    place = Path("nowhere")
    return Experiment.model_validate(
        {"name": name, "data_path": place, "tracks_path": place, "channels": channels, "samples": "channels"}
    )


TRAINED = [
    experiment("a", {"RFP": "nucleus", "Phase3D": "phase", "GFP": "reporter"}),
    experiment("b", {"TagRFP": "nucleus", "Cy5": "reporter"}),
]
CHOICES = {"RFP": "max", "TagRFP": "max", "Phase3D": "slice", "GFP": "max", "Cy5": "mean"}


def test_choices_go_by_what_channels_show_where_that_is_one() -> None:
    assert also_by_marker(CHOICES, TRAINED) == {**CHOICES, "nucleus": "max", "phase": "slice"}


def test_projections_are_found_by_what_channels_show() -> None:
    trained = TrainedOn(
        samples="channels",
        channels=(("nucleus", "phase", "reporter"),),
        patch_size=(40, 40),
        slices=3,
        z={"projection": also_by_marker(CHOICES, TRAINED), "policies": ["middle"], "shift": 2},
    )
    other = experiment("c", {"mCherry": "nucleus", "Phase3D": "phase"})
    window = _window(trained, Experiments(experiments=(other,)), {})
    assert window.projection == {"mCherry": "max", "Phase3D": "slice"}
    assert (window.slices, window.shift) == (3, 0)
    unknown = experiment("d", {"FITC": "reporter"})
    with pytest.raises(InvalidInputError, match=r"how 'FITC' was projected in training is not known"):
        _window(trained, Experiments(experiments=(other, unknown)), {})
    strange = trained.model_copy(update={"z": {"speed": 1}})
    with pytest.raises(InvalidInputError, match=r"z of the model is not of this version"):
        _window(strange, Experiments(experiments=(other,)), {})
