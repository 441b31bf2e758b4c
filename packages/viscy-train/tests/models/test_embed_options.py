"""Options of ``viscy-train embed`` that cannot be are one sentence, before a model is read."""

from pathlib import Path

import pytest

from viscy_train.cli.app import _parser, main

COMMAND = ["embed", "model.viscy", "anchors.parquet"]


@pytest.mark.parametrize("device", ["bogus", "cuda:99", "meta", ""])
def test_a_device_that_is_not_there(device: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*COMMAND, "-o", str(tmp_path / "out.zarr"), "--device", device]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: device={device!r}: cpu, or a device that is there")
    assert said.count("\n") == 1


def test_a_channel_has_one_name_in_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    channels = ["--channels", "RFP=a", "--channels", "RFP=b", "Phase=c"]
    assert main([*COMMAND, "-o", str(tmp_path / "out.zarr"), *channels]) == 1
    assert "--channels RFP=a and RFP=b: one channel of the table" in capsys.readouterr().err


def test_channels_may_be_named_one_by_one() -> None:
    options = _parser().parse_args([*COMMAND, "-o", "out", "--channels", "RFP=a", "--channels", "Phase=b"])
    assert dict(options.channels) == {"RFP": "a", "Phase": "b"}
