"""A model trained on one plate, sent without its data, on plates that are written otherwise."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fit_runs import SMALL
from other_plates import indexed, rewritten

from viscy_data.dataset.anchor_dataset import AnchorDataset
from viscy_data.errors import InvalidInputError
from viscy_data.synthetic.writing import synthesize
from viscy_train.cli.app import main
from viscy_train.evaluation import read_embeddings
from viscy_train.fit import run_fit
from viscy_train.models.embedding import embed_table
from viscy_train.models.export import export
from viscy_train.models.fitting import open_as_trained
from viscy_train.packed import TrainedOn, read_model
from viscy_train.view.write import view_embeddings

type Array = np.ndarray[Any, np.dtype[np.float32]]


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plate")
    return synthesize(
        folder / "data", experiments=1, wells=2, fovs=1, frames=4, cells=8, size=96, progress=False
    )


@pytest.fixture(scope="module")
def table(plate: Path) -> Path:
    return indexed(plate)


@pytest.fixture(scope="module")
def model(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model of a short run, alone in an empty folder."""
    run, sent = tmp_path_factory.mktemp("run"), tmp_path_factory.mktemp("sent")
    more = [
        "--trainer.max_steps=24",
        f"--trainer.logger.init_args.save_dir={run}",
    ]
    run_fit(["--config", "small", f"--data.anchors={table}", *SMALL, *more])
    for name in ("model.viscy", "best.viscy"):
        shutil.copy(run / "small" / "version_0" / name, sent)
    shutil.rmtree(run)
    return sent / "model.viscy"


@pytest.fixture
def embedded(model: Path, tmp_path: Path) -> Callable[..., Array]:
    def embed(anchors: Path, **how: Any) -> Array:
        out = tmp_path / f"{len(list(tmp_path.iterdir()))}.zarr"
        return read_embeddings(embed_table(model, anchors, out, device="cpu", **how)).embedding

    return embed


def cosines(first: Array, second: Array) -> Array:
    """Cosine of each row, once what all cells have in common is taken away."""
    centre = first.mean(axis=0)
    first, second = first - centre, second - centre
    found: Array = (
        (first * second).sum(axis=1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)
    )
    return found


def test_another_plate_is_embedded_as_the_same_cells(
    plate: Path, table: Path, tmp_path: Path, embedded: Callable[..., Array]
) -> None:
    """Twice the resolution, channels swapped and renamed, stacks of three slices."""
    other = indexed(
        rewritten(
            plate,
            tmp_path / "other",
            zoom=2,
            channels=("RFP", "Phase3D"),
            names=("mCherry", "Phase3D"),
            depth=3,
        ),
        patch=80,
    )
    own = embedded(table)
    with pytest.raises(InvalidInputError, match=r"has no channel RFP; it has mCherry, Phase3D\. Say which"):
        embedded(other)
    with pytest.warns(
        UserWarning, match="stacks have up to 3 slices, and the model was trained on images of one"
    ):
        found = embedded(other, channels={"RFP": "mCherry"})
    with pytest.warns(UserWarning, match="stacks have up to 3"):
        ignored = embedded(other, channels={"RFP": "mCherry"}, accept=["pixel_size"])
    used, not_used = (float(np.median(cosines(own, one))) for one in (found, ignored))
    print(f"median cosine: pixel size used {used:.3f}, ignored {not_used:.3f}")  # noqa: T201
    assert used > 0.95
    assert not_used < used - 0.1


def test_the_best_model_is_kept_beside_that_of_the_end(model: Path) -> None:
    end, best = (read_model(model.with_name(name)).card for name in ("model.viscy", "best.viscy"))
    assert end.step == 24
    assert best.step <= end.step
    assert best.validation["loss"] <= end.validation["loss"]
    assert best.trained_on == end.trained_on


def test_swapped_channels_are_put_in_order(
    plate: Path, table: Path, tmp_path: Path, embedded: Callable[..., Array]
) -> None:
    other = indexed(rewritten(plate, tmp_path / "other", channels=("RFP", "Phase3D")))
    np.testing.assert_allclose(embedded(other), embedded(table), atol=1e-5)


@pytest.mark.parametrize(
    ("how", "options", "message"),
    [
        ({"channels": ["RFP"]}, {}, r"channels: experiment='synthetic_1' has no channel Phase3D; it has RFP"),
        ({"pixel_size_um": None}, {}, "the pixel size of synthetic_1 is not known.*set pixel_size_um"),
        ({}, {"channels": {"GFP": "RFP"}}, "the model has no channel 'GFP'; it has Phase3D, RFP"),
        ({}, {"channels": {"RFP": "GFP"}}, "the table has no channel of that name; it has Phase3D, RFP"),
        ({}, {"channels": {"RFP": "Phase3D"}}, "'Phase3D' would be both Phase3D and RFP"),
        ({}, {"accept": ["size"]}, "accept='size': pixel_size, slice_um, z, border are allowed"),
        (
            {"index": {"border": "shift"}},
            {},
            r"border='shift': the model was trained with 'reflect'.*--accept border",
        ),
        ({"index": {"statistics": False}}, {}, "statistics path=.* does not exist"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(
    how: dict[str, Any], options: dict[str, Any], message: str, plate: Path, tmp_path: Path, model: Path
) -> None:
    how = dict(how)
    other = indexed(
        rewritten(plate, tmp_path / "other", **{k: v for k, v in how.items() if k != "index"}),
        **how.get("index", {}),
    )
    with pytest.raises(InvalidInputError, match=message):
        embed_table(model, other, tmp_path / "e.zarr", device="cpu", **options)
    assert not (tmp_path / "e.zarr").exists()


def test_deeper_windows_than_stacks_and_other_rules_are_refused(
    model: Path, table: Path, plate: Path, tmp_path: Path
) -> None:
    trained = read_model(model).card.trained_on
    deep = trained.model_copy(update={"slices": 3, "depths": (5, 5), "slice_um": 0.5})
    with pytest.raises(InvalidInputError, match=r"in patches of 40 x 40 pixels and 3 slices: z_window"):
        open_as_trained(deep, table)
    stacks = indexed(rewritten(plate, tmp_path / "stacks", depth=3))
    focused = deep.model_copy(update={"z": {"policies": ["middle"]}})
    with pytest.raises(InvalidInputError, match=r"z='tracks': .*trained with \(middle\).*--accept z"):
        open_as_trained(focused, stacks)
    with pytest.warns(UserWarning, match="z='tracks'"):
        assert open_as_trained(focused, stacks, accept=["z"]).shown.slices == 3
    with pytest.raises(InvalidInputError, match=r"slice_um=0\.5: slices lay 2 um apart.*--accept slice_um"):
        open_as_trained(deep.model_copy(update={"slice_um": 2.0}), stacks)


def test_several_problems_are_one_report(model: Path, plate: Path, tmp_path: Path) -> None:
    other = indexed(rewritten(plate, tmp_path / "o", names=["a", "b"]), border="shift")
    trained = read_model(model).card.trained_on
    with pytest.raises(
        InvalidInputError, match=r"1\. channels.*no channel Phase3D(?s:.*)2\..*RFP(?s:.*)3\. border"
    ):
        open_as_trained(trained, other)


def test_the_command_takes_channels_by_name(
    model: Path, plate: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = indexed(rewritten(plate, tmp_path / "o", names=["light", "mCherry"]))
    out = tmp_path / "e.zarr"
    arguments = ["embed", str(model), str(other), "-o", str(out), "--device", "cpu"]
    assert main(arguments) == 1
    assert "--channels Phase3D=NAME" in capsys.readouterr().err
    assert main([*arguments, "--channels", "Phase3D=light", "RFP=mCherry"]) == 0
    kept = json.loads(read_embeddings(out).provenance["viscy_train"]["config"])
    assert TrainedOn.model_validate(kept["card"]["trained_on"]).pixel_size_um == pytest.approx(0.65)
    # enough to read the same patches again
    assert kept["channels"] == {"Phase3D": "light", "RFP": "mCherry"}
    page = tmp_path / "view.html"
    assert view_embeddings(out, page, kind="pca", progress=False).no_patches == ""


def test_the_exported_graph_takes_pixels_as_stored(
    model: Path, table: Path, tmp_path: Path, embedded: Callable[..., Array]
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="it has no wheel for this Python")
    graph = onnxruntime.InferenceSession(export(model, tmp_path / "model.onnx"))
    batch = AnchorDataset(table, positive="self", dtype="source").__getitems__(range(12))
    given = {"patches": batch["anchor"].numpy().astype(np.float32), "scale": batch["anchor_scale"].numpy()}
    np.testing.assert_allclose(graph.run(["embedding"], given)[0], embedded(table)[:12], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("part", ["all", "encoder"])
def test_another_training_begins_with_the_model(part: str, model: Path, table: Path, tmp_path: Path) -> None:
    more = ["--trainer.fast_dev_run=1", "--model.optimizer.learning_rate=1e-12", f"--model.init_part={part}"]
    held = read_model(model).network.state_dict()
    run = ["--config", "small", f"--data.anchors={table}", *SMALL, *more, f"--model.init_from={model}"]
    now = run_fit(run).model.state_dict()
    same = {
        name
        for name, one in held.items()
        if name.endswith("weight") and torch.allclose(now[name], one, atol=1e-6)
    }
    weights = {name for name in held if name.endswith("weight")}
    head = {name for name in weights if ".head." in name}
    assert same == (weights if part == "all" else weights - head)


def test_a_table_with_other_channels_does_not_begin_with_the_model(
    model: Path, plate: Path, table: Path, tmp_path: Path
) -> None:
    other = indexed(rewritten(plate, tmp_path / "o", channels=("RFP", "Phase3D")))
    run = ["--config", "small", f"--data.anchors={other}", *SMALL, "--trainer.fast_dev_run=1"]
    with pytest.raises(
        InvalidInputError, match="'RFP' is its channel 1, and channel 0 of experiment='synthetic_1'"
    ):
        run_fit([*run, f"--model.init_from={model}"])
    with pytest.raises(InvalidInputError, match=r"model\.init_from: model='.*absent': no such file"):
        run_fit([*run, f"--model.init_from={tmp_path / 'absent'}"])
    wider = "--model.encoder.projection=16"
    own = ["--config", "small", f"--data.anchors={table}", *SMALL, "--trainer.fast_dev_run=1", wider]
    with pytest.raises(InvalidInputError, match="init_part='encoder'"):
        run_fit([*own, f"--model.init_from={model}"])


def test_an_encoder_of_ones_own_goes_all_the_way(table: Path, tmp_path: Path) -> None:
    own = "own_encoders.Own"
    more = [
        f"--model.encoder.backbone={own}",
        '--model.encoder.arguments={"width": 6}',
        "--trainer.max_steps=2",
    ]
    folder = f"--trainer.logger.init_args.save_dir={tmp_path}"
    run_fit(["--config", "small", f"--data.anchors={table}", *SMALL, *more, folder])
    model = tmp_path / "small" / "version_0" / "model.viscy"
    assert main(["show", str(model)]) == 0
    arguments = ["embed", str(model), str(table), "-o", str(tmp_path / "e.zarr"), "--device", "cpu"]
    assert main(arguments) == 1
    assert main([*arguments, "--own-class", own]) == 0
    assert read_embeddings(tmp_path / "e.zarr").embedding.shape[1] == 6
