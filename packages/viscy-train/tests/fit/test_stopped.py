"""Both packaged configurations, killed for real: what is left, what is said, and going on from it."""

import signal
from pathlib import Path

import pandas as pd
import pytest
from fit_runs import SMALL, losses, run

from viscy_train.models.checkpoint_file import read_checkpoint

STEPS = 9
EVERY = 3
MORE = [f"--trainer.max_steps={STEPS}", f"--save.steps={EVERY}"]
CONFIGS = ("small", "fit")


def arguments(config: str, anchors: Path) -> list[str]:
    return ["--config", config, "--data.anchors", str(anchors), *SMALL, *MORE]


@pytest.fixture(scope="module")
def whole(anchors_path: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[int, float]]:
    """The losses of runs that nothing stopped."""
    found = {}
    for config in CONFIGS:
        folder = tmp_path_factory.mktemp(config)
        code, said = run(arguments(config, anchors_path), folder)
        assert code == 0, said
        assert f"at most {EVERY} steps old" in said
        assert "viscy-train embed" in said
        found[config] = losses(folder)
        assert sorted(found[config]) == list(range(STEPS))
        assert (
            read_checkpoint(folder / f"runs/{config}/version_0/checkpoints/last.ckpt")["global_step"] == STEPS
        )
    return found


def test_a_run_needs_no_streams(
    anchors_path: Path, whole: dict[str, dict[int, float]], tmp_path: Path
) -> None:
    code, said = run(arguments("small", anchors_path), tmp_path, closed=(0, 1, 2))
    assert code == 0, said
    assert losses(tmp_path) == whole["small"]


# the signal, and when: epochs have 4 steps and end with a validation
CASES = {
    "Ctrl-C in the middle": (signal.SIGINT, {"at_step": 4}),
    "SIGTERM in the first step": (signal.SIGTERM, {"at_step": 0}),
    "SIGTERM at an epoch's end": (signal.SIGTERM, {"at_step": 3}),
    "Ctrl-C at validation": (signal.SIGINT, {"at_validation": 4}),
    "kill in the middle": (signal.SIGKILL, {"at_step": 5}),
    "kill at validation": (signal.SIGKILL, {"at_validation": 4}),
}


@pytest.mark.parametrize(
    ("case", "config"),
    [*((case, "small") for case in CASES), ("Ctrl-C at validation", "fit"), ("kill in the middle", "fit")],
)
def test_a_stopped_run_goes_on(
    case: str, config: str, anchors_path: Path, whole: dict[str, dict[int, float]], tmp_path: Path
) -> None:
    signum, moment = CASES[case]
    code, said = run(arguments(config, anchors_path), tmp_path, signum=int(signum), **moment)
    last = tmp_path / f"runs/{config}/version_0/checkpoints/last.ckpt"
    step = read_checkpoint(last)["global_step"]
    done = max(losses(tmp_path)) + 1
    assert [one.name for one in last.parent.iterdir() if "partial" in one.name] == []
    if signum is signal.SIGKILL:
        assert code == -9
        assert done - EVERY <= step <= done
    else:
        assert code == 128 + signum
        assert step == done
        assert f"stopped by {signum.name}" in said
        assert f"runs/{config}/version_0/checkpoints/last.ckpt holds step {step}" in said
        assert "The same command goes on" in said
    (tmp_path / "losses").unlink()
    code, said = run(arguments(config, anchors_path), tmp_path)
    assert code == 0, said
    table = pd.read_csv(tmp_path / f"runs/{config}/version_0/composition.csv")
    # of every epoch, those of before the stop, too
    assert table.groupby("epoch")["anchors"].sum().tolist() == [32, 32, 8]
    assert losses(tmp_path) == {number: loss for number, loss in whole[config].items() if number >= step}
