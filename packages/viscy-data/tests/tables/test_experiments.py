from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from viscy_data.errors import ExperimentsFileError
from viscy_data.tables.experiment import FovInfo
from viscy_data.tables.experiments import Experiments, check_experiments, parse_experiments


def entry(name: str = "a", **changes: Any) -> dict[str, Any]:
    return {
        "name": name,
        "data_path": "plate.zarr",
        "tracks_path": "tracks",
        "channels": ["Phase3D", "RFP"],
        "condition_wells": {"infected": ["B/3", "B/4"], "uninfected": ["A/3"]},
        "interval_minutes": 30,
        "start_hpi": 3.0,
        "pixel_size_um": None,
        "exclude_fovs": [],
    } | changes


def write(folder: Path, *entries: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plate.zarr").mkdir(exist_ok=True)
    (folder / "tracks").mkdir(exist_ok=True)
    path = folder / "experiments.yaml"
    path.write_text(yaml.safe_dump({"experiments": list(entries)}))
    return path


def info(fov: str, channels: tuple[str, ...] = ("Phase3D", "RFP")) -> FovInfo:
    return FovInfo(fov, fov.rpartition("/")[0], (3, len(channels), 1, 64, 64), channels)


def test_paths_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "deep", entry())
    monkeypatch.chdir(tmp_path)
    for given_path in (path, path.relative_to(tmp_path), str(path)):
        (experiment,) = Experiments.load(given_path).experiments
        assert experiment.data_path == (tmp_path / "deep" / "plate.zarr").resolve()
        assert experiment.tracks_path == (tmp_path / "deep" / "tracks").resolve()


def test_values_that_are_not_known_are_null_or_left_out(tmp_path: Path) -> None:
    names = ("condition_wells", "interval_minutes", "start_hpi", "pixel_size_um")
    unknown: dict[str, Any] = dict.fromkeys(names)
    brief = {k: v for k, v in entry("b").items() if k in {"name", "data_path", "tracks_path", "channels"}}
    first, second = Experiments.load(write(tmp_path, entry(**unknown), brief)).experiments
    assert first.model_dump(exclude={"name"}) == second.model_dump(exclude={"name"})
    assert first.condition_of("B/3") is None
    assert np.isnan(first.hours(np.arange(3))).all()


def test_every_problem_of_every_experiment_comes_at_once(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        entry("a", chanels=["x"], interval_minutes=-1),
        {k: v for k, v in entry("b").items() if k != "channels"},
        entry("c", data_path="nowhere.zarr"),
        entry("d", channels=["Phase3D"]),
        entry("d"),
        entry("e", condition_wells={"infected": ["B/3"], "mock": ["B/3"]}),
        entry(20240204),  # type: ignore[arg-type]  # what YAML makes of 2024_02_04
    )
    with pytest.raises(ExperimentsFileError) as caught:
        Experiments.load(path)
    message = str(caught.value)
    for part in (
        "experiment 'a': unknown key 'chanels'",
        "Did you mean 'channels'?",
        "experiment 'a': interval_minutes=-1",
        "experiment 'b': channels is missing",
        "experiment 'c': data_path=",
        "does not exist",
        "name='d' is used twice",
        "same number of channels",
        "experiment 'e': condition_wells: a well under more than one condition: B/3",
        "experiments[6]: name=20240204 is not text; put it in quotes",
    ):
        assert part in message
    assert message.startswith(f"{path}: 8 problems:")
    assert message.count("\n  - ") == 8


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"interval_minutes": -5}, "interval_minutes=-5"),
        ({"interval_minutes": float("nan")}, "interval_minutes=nan"),
        ({"interval_minutes": 1e-9}, r"interval_minutes=1e-09: 0 \(a snapshot\) or 1e-6 and more"),
        ({"interval_minutes": True}, "interval_minutes=True"),
        ({"interval_minutes": "30"}, "interval_minutes='30'"),
        ({"start_hpi": float("inf")}, "start_hpi=inf"),
        ({"pixel_size_um": 0.0}, "pixel_size_um=0.0"),
        ({"channels": []}, r"channels=\[\]"),
        ({"channels": ["a", "a"]}, "named twice: a"),
        ({"channels": "Phase3D"}, "channels='Phase3D'"),
        ({"name": ""}, "name=''"),
        ({"name": "a/b"}, "holds '/'"),
        ({"name": "None"}, "where a value is missing; another name is needed"),
        ({"exclude_fovs": [0]}, "exclude_fovs.0=0 is not text"),
        ({"condition_wells": {"infected": ["B/3", "B/3"]}}, "B/3"),
    ],
)
def test_bad_values_are_named(tmp_path: Path, changes: dict[str, Any], match: str) -> None:
    with pytest.raises(ExperimentsFileError, match=match):
        Experiments.load(write(tmp_path, entry(**changes)))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("experiments: [", "not valid YAML"),
        ("experiments:\n- name: a\n  name: b\n", "key 'name' is given twice"),
        ("- name: a\n", "a mapping with the key 'experiments'"),
        ("", "a mapping with the key 'experiments'"),
        ("experiments: []\n", "at least one experiment"),
        ("experiments: []\nexperiment: []\n", "unknown key 'experiment'"),
        ("experiments: [a]\n", r"experiments\[0\]"),
        ("experiments: &e [*e]\n", "experiments"),
    ],
)
def test_malformed_files_are_refused(tmp_path: Path, text: str, match: str) -> None:
    path = tmp_path / "experiments.yaml"
    path.write_text(text)
    with pytest.raises(ExperimentsFileError, match=match):
        Experiments.load(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExperimentsFileError, match=r"nothing\.yaml.*cannot be read"):
        Experiments.load(tmp_path / "nothing.yaml")


def test_stores_are_compared_all_at_once(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        entry("a", channels=["Phase3", "RFP"], exclude_fovs=["A/3/9"]),
        entry("b", condition_wells={"infected": ["B/33"]}),
        entry("c", exclude_fovs=["A/3/0"]),
        entry("d"),
    )
    fovs = [info(f"{well}/0") for well in ("A/3", "B/3", "B/4")]
    with pytest.raises(ExperimentsFileError) as caught:
        check_experiments(Experiments.load(path), {"a": fovs, "b": fovs, "c": fovs[:1]})
    message = str(caught.value)
    for part in (
        "experiment 'a': channels: channel 'Phase3' is not in the store, which holds 'Phase3D', 'RFP'.",
        "Did you mean 'Phase3D'?",
        "experiment 'a': exclude_fovs: fov 'A/3/9'",
        "experiment 'b': condition_wells: well 'B/33'",
        "experiment 'c': exclude_fovs leaves no field of view",
        "experiment 'd': the store holds no field of view",
    ):
        assert part in message


def test_a_whole_well_is_excluded_by_its_fields_of_view(tmp_path: Path) -> None:
    experiments = Experiments.load(write(tmp_path, entry(exclude_fovs=["B/3"])))
    fovs = [info(name) for name in ("A/3/0", "B/3/0", "B/3/1", "B/4/0")]
    with pytest.raises(
        ExperimentsFileError, match=r"'B/3' is a well .* of view: 'B/3/0', 'B/3/1'$"
    ) as caught:
        check_experiments(experiments, {"a": fovs})
    assert "not in the store" not in str(caught.value)


def test_stores_that_agree_pass(tmp_path: Path) -> None:
    experiments = Experiments.load(write(tmp_path, entry()))
    check_experiments(experiments, {"a": [info(f"{well}/0") for well in ("A/3", "B/3", "B/4")]})


def test_what_is_well_formed_is_parsed_beside_what_is_not(tmp_path: Path) -> None:
    parsed, problems = parse_experiments(write(tmp_path, entry("a"), entry("b", chanels=[])))
    assert [experiment.name for experiment in parsed] == ["a"]
    assert len(problems) == 1


def test_the_digest_is_that_of_the_content(tmp_path: Path) -> None:
    here = Experiments.load(write(tmp_path / "here", entry()))
    moved = Experiments.load(write(tmp_path / "moved", entry()))
    other = Experiments.load(write(tmp_path / "other", entry(start_hpi=4.0)))
    assert here.digest() == moved.digest() != other.digest()


def test_the_file_survives_json(tmp_path: Path) -> None:
    experiments = Experiments.load(write(tmp_path, entry("a"), entry("b", condition_wells=None)))
    assert Experiments.model_validate_json(experiments.model_dump_json()) == experiments


def write_channels(folder: Path, top: str, *channels: str) -> Path:
    entries = (
        f"  - {{name: e{i}, data_path: '{folder}', tracks_path: '{folder}', channels: {one}}}\n"
        for i, one in enumerate(channels)
    )
    path = folder / "experiments.yaml"
    path.write_text(f"{top}\nexperiments:\n{''.join(entries)}")
    return path


def test_rows_of_channels_may_have_unlike_ones(tmp_path: Path) -> None:
    unlike = "[Phase]", "{Phase: phase, RFP: SEC61}"
    held = Experiments.load(write_channels(tmp_path, "samples: channels", *unlike))
    assert held.samples == "channels"
    assert [one.samples for one in held.experiments] == ["channels", "channels"]
    assert Experiments.model_validate_json(held.model_dump_json()) == held
    for top in ("", "samples: cells"):
        with pytest.raises(ExperimentsFileError, match=r"same number of channels.*'samples: channels'"):
            Experiments.load(write_channels(tmp_path, top, *unlike))
    alike = Experiments.load(write_channels(tmp_path, "", "[A]", "[B]"))
    assert alike.samples == "cells"


@pytest.mark.parametrize(
    ("top", "channels", "said"),
    [
        ("samples: rows", "[A]", r"samples='rows': 'cells' .* or 'channels' .* are allowed"),
        ("samples: [cells]", "[A]", r"samples=\['cells'\]: 'cells'"),
        ("sample: channels", "[A]", "unknown key 'sample'; allowed: samples, experiments. .*samples"),
        ("", "[A], samples: channels", "experiment 'e0': samples is said once, for all experiments"),
        ("", "{A: a}, markers: {A: b}", "markers: channels say what they show already"),
        ("", "[A], markers: {B: b}", "markers: 'B' is not among channels, which are A"),
        ("", "{A: }", "markers.A=None is not text"),
        ("", "{}", "channels=.*at least 1"),
    ],
)
def test_what_is_wrong_with_channels_is_said(tmp_path: Path, top: str, channels: str, said: str) -> None:
    with pytest.raises(ExperimentsFileError, match=said):
        Experiments.load(write_channels(tmp_path, top, channels))
