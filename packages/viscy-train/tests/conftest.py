"""What the tests of viscy_train share."""

from pathlib import Path

import pytest
from hypothesis import settings

# No timing decides a test: the first example of a property may well be the one that imports a library.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

QUIET = (
    # our reading is threaded in the process that asks; worker processes are an option, not a need
    "ignore:.*does not have many workers:lightning.fabric.utilities.warnings.PossibleUserWarning",
    # a run without validation is allowed
    "ignore:You defined a `validation_step` but:lightning.fabric.utilities.warnings.PossibleUserWarning",
    # Lightning's own use of what newer PyTorch renames
    "ignore:`isinstance.treespec, LeafSpec.` is deprecated:FutureWarning",
)


def pytest_configure(config: pytest.Config) -> None:
    for line in QUIET:
        config.addinivalue_line("filterwarnings", line)


@pytest.fixture(scope="session")
def anchors_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The anchors table of three small experiments: two channels, two conditions, patches of 40 pixels."""
    # most tests need no data, and these imports take seconds
    from viscy_data.indexing.run import build_index
    from viscy_data.synthetic.writing import synthesize
    from viscy_data.tables.tau import TauRange

    folder = tmp_path_factory.mktemp("anchors")
    experiments = synthesize(
        folder / "data", experiments=3, wells=2, fovs=1, frames=5, cells=8, size=96, progress=False
    )
    path = folder / "anchors.parquet"
    tau = TauRange(frames=(1, 2))
    build_index(experiments, path, patch_size=(40, 40), tau=tau, progress=False)
    return path
