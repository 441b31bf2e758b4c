import pytest

from viscy_data.units import counts_frames, counts_pixels, micrometres, minutes

MICROMETRE = ("micrometer", "micrometre", "Micrometers", "micron", "microns", "um", "µm", "μm", " um ")


@pytest.mark.parametrize("name", [*MICROMETRE, "\\u00B5m", "㎛", "UM"])
def test_every_name_of_the_micrometre_is_one(name: str) -> None:
    assert micrometres(name) == 1.0


@pytest.mark.parametrize(
    ("name", "size"),
    [("nm", 1e-3), ("Nanometre", 1e-3), ("millimeter", 1e3), ("cm", 1e4), ("m", 1e6), ("Å", 1e-4)],
)
def test_other_lengths_are_converted(name: str, size: float) -> None:
    assert micrometres(name) == size


@pytest.mark.parametrize("name", ["", "pixel", "px", "parsec", "second", "s", "m m", "micro"])
def test_what_is_no_length_is_not_guessed(name: str) -> None:
    assert micrometres(name) is None


@pytest.mark.parametrize(
    ("name", "size"), [("s", 1 / 60), ("seconds", 1 / 60), ("min", 1.0), ("Hours", 60.0), ("ms", 1 / 60000)]
)
def test_times_become_minutes(name: str, size: float) -> None:
    assert minutes(name) == size


@pytest.mark.parametrize("name", ["", "frame", "um", "month"])
def test_what_is_no_time_is_not_guessed(name: str) -> None:
    assert minutes(name) is None


def test_pixels_and_frames_are_counted_not_measured() -> None:
    assert counts_pixels("Pixels")
    assert counts_pixels("px")
    assert not counts_pixels("um")
    assert counts_frames("frames")
    assert not counts_frames("second")
