"""Fuzz the readers of files: atheris follows their branches; only errors of ours may come out.

uv run --group fuzz scripts/fuzz_readers.py                     # text formats, a minute each
uv run --group fuzz scripts/fuzz_readers.py "a plan" --seconds 600

Readers and their valid files are those of ``packages/viscy-data/tests/support/readable_files.py``, which
Hypothesis breaks too, in the tests. What brings another exception out is kept in ``--found``.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "packages/viscy-data/tests/support"))


def main() -> int:
    """Fuzz each reader in a process of its own; return 1 where one raises what it should not."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("readers", nargs="*", help="names of readers (default: all of text formats)")
    parser.add_argument("--seconds", type=int, default=60, help="for each reader")
    parser.add_argument("--found", type=Path, default=Path("fuzz-found"), help="folder for broken files")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)  # the process of one reader
    options = parser.parse_args()
    if options.here:
        fuzz(options.readers[0], options.seconds, options.found)
    from readable_files import READERS  # noqa: PLC0415  a fuzzing process imports it under instruments

    unknown = [name for name in options.readers if name not in READERS]
    if unknown:
        parser.error(f"no reader {unknown[0]!r}; there are: {', '.join(READERS)}")
    chosen = options.readers or [name for name, readable in READERS.items() if readable.text]
    return max(run(name, options.seconds, options.found) for name in chosen)


def run(name: str, seconds: int, found: Path) -> int:
    """Start the process of one reader, say how it ended, and return its status."""
    command = [sys.executable, __file__, "--here", name, "--seconds", str(seconds), "--found", str(found)]
    ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    lines = ended.stdout.splitlines()
    runs = [line for line in lines if line.startswith("stat::number_of_executed_units")]
    print(f"{name:32} {runs[0].split()[-1] if runs else '?':>9} files  ", end="")
    print("FAILED" if ended.returncode else "only errors of ours", flush=True)
    if ended.returncode:
        print("\n".join(line for line in lines if not line.startswith("INFO: Instrumenting")))
    return int(ended.returncode != 0)


def fuzz(name: str, seconds: int, found: Path) -> None:
    """Feed one reader with broken files until the time is over, then end the process."""
    import atheris  # noqa: PLC0415  in the processes that fuzz only

    warnings.simplefilter("ignore")
    with atheris.instrument_imports(include=["viscy_data", "yaml"]):
        from readable_files import READERS  # noqa: PLC0415

        from viscy_data.errors import ViscyDataError  # noqa: PLC0415

    readable = READERS[name]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store" / readable.file
        path.parent.mkdir(parents=True)
        readable.write(path)
        corpus, words = Path(folder) / "corpus", Path(folder) / "words"
        corpus.mkdir()
        (corpus / "valid").write_bytes(path.read_bytes())
        words.write_text("".join(f'"{_escaped(scrap)}"\n' for scrap in readable.scraps))

        def once(content: bytes) -> None:
            path.write_bytes(content)
            try:
                readable.read(path)
            except ViscyDataError:
                return

        found.mkdir(parents=True, exist_ok=True)
        limits = [f"-max_total_time={seconds}", "-timeout=20", "-rss_limit_mb=6000", "-print_final_stats=1"]
        kept = f"-artifact_prefix={found}{os.sep}{'-'.join(re.findall(r'\w+', name))}-"
        atheris.Setup([sys.argv[0], str(corpus), *limits, f"-dict={words}", kept], once)
        atheris.Fuzz()


def _escaped(scrap: bytes) -> str:
    """Write bytes as libFuzzer's dictionaries have them."""
    return "".join(f"\\x{byte:02x}" for byte in scrap)


if __name__ == "__main__":
    sys.exit(main())
