"""A bar is shown where there is work, and where it is asked for."""

import pytest

from viscy_data.progress import progress_bar


@pytest.mark.parametrize(("total", "shown", "seen"), [(2, True, True), (0, True, False), (2, False, False)])
def test_a_bar_is_of_work_that_there_is(
    total: int, shown: bool, seen: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress_bar("reading", total, unit="rows", shown=shown) as advance:
        advance(total)
    assert ("reading" in capsys.readouterr().err) is seen
