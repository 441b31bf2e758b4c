"""What the tests of viscy_train share."""

import pytest

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
