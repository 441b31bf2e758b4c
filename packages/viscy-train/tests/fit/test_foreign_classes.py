"""Options of a checkpoint: taken, compared, and no code that only the checkpoint names."""

import pytest
from jsonargparse import Namespace

from viscy_data.errors import InvalidInputError
from viscy_train.fit.from_table import SetUp
from viscy_train.fit.going_on import take_options
from viscy_train.fit.packaged import namespace_of


def config(backbone: str) -> Namespace:
    found: Namespace = namespace_of({"model": {"encoder": {"backbone": backbone}}, "data": {"seed": 0}})
    return found


def checkpoint(backbone: str) -> dict[str, dict[str, object]]:
    return {
        "hyper_parameters": {"encoder": {"backbone": backbone}},
        "datamodule_hyper_parameters": {"seed": 0},
    }


def test_a_class_that_only_the_checkpoint_names_is_refused() -> None:
    setup = SetUp(config("small"), set())
    take_options(setup, checkpoint("own_encoders.Own"))
    with pytest.raises(InvalidInputError, match=r"say so: --model\.encoder\.backbone own_encoders\.Own"):
        setup.refuse_all()
    assert setup.config.model.encoder.backbone == "small"


def test_a_class_that_the_user_names_too_goes_on() -> None:
    setup = SetUp(config("own_encoders.Own"), {"model.encoder.backbone"})
    assert "model.encoder.backbone" in take_options(setup, checkpoint("own_encoders.Own"))
    setup.refuse_all()


def test_a_network_of_timm_is_taken() -> None:
    setup = SetUp(config("small"), set())
    take_options(setup, checkpoint("resnet10t"))
    setup.refuse_all()
    assert setup.config.model.encoder.backbone == "resnet10t"
