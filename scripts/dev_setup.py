"""Set up a clone for development: ``uv run scripts/dev_setup.py``.

Tells git how to keep uv.lock neutral (see ``neutral_lock.py``) and installs the pre-commit hooks.
Both live in the clone's own ``.git``. Running it again changes nothing, except that it settles uv.lock where
``git status`` shows it as modified after uv completed it anew.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILTER = "filter.neutral-lock"


def _git_config(key: str, value: str) -> None:
    subprocess.run(["git", "config", "--local", key, value], cwd=ROOT, check=True)


def configure_filter() -> None:
    """Register the clean filter that ``.gitattributes`` names for uv.lock."""
    # The interpreter behind the virtual environment: git must find it when .venv is gone.
    python = Path(getattr(sys, "_base_executable", sys.executable)).as_posix()
    _git_config(f"{FILTER}.clean", f'"{python}" scripts/neutral_lock.py')
    _git_config(f"{FILTER}.smudge", "cat")
    _git_config(f"{FILTER}.required", "true")


def settle_lock() -> None:
    """Let git note, where it is so, that the completed uv.lock is the committed one: its size differs."""
    same = subprocess.run(["git", "diff", "--quiet", "--", "uv.lock"], cwd=ROOT, check=False).returncode == 0
    if same:
        subprocess.run(["git", "add", "uv.lock"], cwd=ROOT, check=True)


def main() -> None:
    """Configure the filter, settle the lock, install the hooks."""
    configure_filter()
    settle_lock()
    subprocess.run([sys.executable, "-m", "pre_commit", "install"], cwd=ROOT, check=True)
    print("This clone is set up: git keeps uv.lock neutral, and every commit is checked.")


if __name__ == "__main__":
    main()
