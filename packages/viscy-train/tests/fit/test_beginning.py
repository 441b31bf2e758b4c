"""A model that training begins with: its channels and the table's are compared by what they show, too."""

from pathlib import Path

import pytest

from viscy_data import Experiment, Experiments
from viscy_train.encoder import EncoderOptions
from viscy_train.fit.from_table import SetUp, _check_beginning
from viscy_train.fit.packaged import namespace_of
from viscy_train.packed import Card, Embedder, TrainedOn, write_model


@pytest.mark.parametrize(("first", "said"), [("phase", 0), ("nucleus", 1)])
def test_channels_swapped_under_other_names_are_refused(first: str, said: int, tmp_path: Path) -> None:
    options = EncoderOptions("small", in_channels=2, projection=8)
    trained = TrainedOn(channels=(("Phase3D", "phase"), ("RFP", "nucleus")), patch_size=(40, 40))
    model = tmp_path / "model.viscy"
    write_model(model, Card(encoder=vars(options), trained_on=trained), Embedder(options))
    second = {"phase": "nucleus", "nucleus": "phase"}[first]
    channels = {"camera 1": first, "camera 2": second}
    values = {"name": "a", "data_path": tmp_path, "tracks_path": tmp_path, "channels": channels}
    setup = SetUp(namespace_of({"model": {"init_from": str(model)}}), set())
    _check_beginning(setup, Experiments(experiments=(Experiment.model_validate(values),)))
    found = [text for text in setup.problems if "'camera 1' is its channel 1, and channel 0 of" in text]
    assert len(found) == said
