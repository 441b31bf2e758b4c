"""Git's clean filter for uv.lock: keep what was decided, drop where it was fetched from.

A lock holds two kinds of facts. *Decisions* (versions, markers, edges) are the project's; *addresses*
(registries, sdists, wheels, their hashes) belong to the index of the machine that wrote them.
The *neutral* form keeps the decisions only, so that the lock works behind any mirror: uv completes it
on first use at the same versions, and what completing added never reaches a commit.
The members' ``[package.metadata]`` tables go too: where they are missing uv reads the members again.

Invariant: ``neutral(neutral(text)) == neutral(text)``, and the neutral form of a lock of registry packages
holds no address. Reads stdin and writes stdout, as git wants it, with the standard library only: it runs
before anything is installed.
"""

import re
import sys
from collections.abc import Iterable, Iterator

REGISTRY = "any-index"
_REGISTRY = re.compile(r'\bregistry = "[^"]*"')


def _kept(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines outside of files (``sdist``, ``wheels``) and of members' metadata."""
    until: str | None = None  # how the line that ends the skipped part starts
    for line in lines:
        if until is not None and line.startswith(until):
            ends_here = until == "]"
            until = None
            if ends_here:
                continue
        if until is not None or line.startswith("sdist = "):
            continue
        if line.startswith("wheels = ["):
            until = None if line.endswith("]") else "]"
        elif line.startswith("[package.metadata"):
            until = "["
        else:
            yield line


def neutral(text: str) -> str:
    """Return the lock with every decision and no address."""
    kept = "\n".join(_kept(text.splitlines()))
    return _REGISTRY.sub(f'registry = "{REGISTRY}"', kept).rstrip("\n") + "\n"


def main() -> None:
    """Filter stdin to stdout, bytes in and bytes out so that line ends stay LF on every system."""
    text = sys.stdin.buffer.read().decode("utf-8")
    sys.stdout.buffer.write(neutral(text).encode("utf-8"))


if __name__ == "__main__":
    main()
