#!/usr/bin/env bash
# Prints docs/options.md, all options of all jobs as the program tells them: docs/options.sh OUTSOLE >docs/options.md
# With --check it says instead whether that page is what the program tells.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ "${1:-}" = --check ]; then
  if ! diff "$here/options.md" <("${BASH_SOURCE[0]}" "$2"); then
    echo "docs/options.md is not what the program tells: docs/options.sh $2 >docs/options.md" >&2
    exit 1
  fi
  exit
fi
outsole=$1
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

echo "# All options"
echo
echo "As \`outsole JOB --help\` prints them (\`docs/options.sh\` makes this page). Those of every job stand once, at the end."
common=''
for job in $("$outsole" --help | awk '/^  [a-z]/ { print $1 }'); do
  help=$("$outsole" "$job" --help)
  common=$(printf '%s\n' "$help" | awk '/^Options of every job/ { on = 1 } on && /^$/ { exit } on' | sed 's/[[:space:]]*$//')
  printf '\n## %s\n\n```text\n' "$job"
  printf '%s\n' "$help" | awk '/^Options of every job/ { skip = 1 } !skip; skip && /^$/ { skip = 0 }' |
    sed -e 's/[[:space:]]*$//' | cat -s
  printf '```\n'
done
printf '\n## Of every job\n\n```text\n%s\n```\n' "$common"
