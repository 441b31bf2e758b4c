#!/usr/bin/env bash
# The one list of static checks: style, types, import layers. People, the lint workflow and .ci/run all run it.
set -euo pipefail
cd "$(dirname "$0")/.."

check() {
  printf -- '-- %s\n' "$*"
  uv run --quiet "$@"
}

check ruff check
check ruff format --check
# One run each: both packages have a tests/test_smoke.py, and mypy takes a module name once.
check mypy packages/viscy-data/src packages/viscy-data/tests
check mypy packages/viscy-train/src packages/viscy-train/tests
check mypy conftest.py tests scripts docs/figures.py
check lint-imports
check python scripts/count_lines.py
