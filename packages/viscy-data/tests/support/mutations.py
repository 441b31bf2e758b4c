"""Files that were valid once: bytes deleted, inserted, overwritten, cut off."""

from collections.abc import Sequence

from hypothesis import strategies as st

_SCRAPS = (
    b"\x00",
    b"\xff\xfe",
    b"\n",
    b",",
    b'"',
    b":",
    b"-1",
    b"1e999",
    b"nan",
    b"[",
    b"}",
    b"&a *a",
    b"\xe2\x82",
)


@st.composite
def mutated(draw: st.DrawFn, valid: bytes, scraps: Sequence[bytes] = ()) -> bytes:
    """Draw a file near a valid one; ``scraps`` are pieces that its format gives a meaning."""
    content = valid
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        kind = draw(st.sampled_from(["cut", "delete", "insert", "overwrite", "repeat"]))
        length = draw(st.integers(1, 12))
        scrap = draw(st.binary(min_size=1, max_size=8) | st.sampled_from([*_SCRAPS, *scraps]))
        content = {
            "cut": content[:at],
            "delete": content[:at] + content[at + length :],
            "insert": content[:at] + scrap + content[at:],
            "overwrite": content[:at] + scrap + content[at + len(scrap) :],
            "repeat": content[: at + length] + content[at:],
        }[kind]
    return content
