# Makes outsole ready to run in this shell: source slurm/environment.sh, then "${outsole[@]}" JOB OPTIONS...
# shellcheck shell=bash disable=SC2034  # the shell that sources this file uses `outsole`
OUTSOLE_SITE=$(realpath "${OUTSOLE_SITE:-$(dirname "${BASH_SOURCE[0]}")/site.sh}")
own_home=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
OUTSOLE_HOME=$own_home
# shellcheck source=slurm/site.sh
source "$OUTSOLE_SITE"
if [ ! -r "$OUTSOLE_HOME/slurm/environment.sh" ]; then   # a copied site.sh of an older version takes its place for outsole's
  case $OUTSOLE_EXECUTABLE in
    "$OUTSOLE_HOME"/*) OUTSOLE_EXECUTABLE=$own_home/build/release/outsole ;;
  esac
  OUTSOLE_HOME=$own_home
  for built in "$own_home"/build/program/outsole "$own_home"/../../bin/outsole; do
    [ -x "$OUTSOLE_EXECUTABLE" ] || [ ! -x "$built" ] || OUTSOLE_EXECUTABLE=$built
  done
fi
export OUTSOLE_SITE OUTSOLE_HOME   # jobs find the same

if [ "${#OUTSOLE_MODULES[@]}" -gt 0 ]; then
  module load "${OUTSOLE_MODULES[@]}"
fi
outsole=("$OUTSOLE_EXECUTABLE")
if [ -n "$OUTSOLE_CONTAINER" ]; then
  outsole=(apptainer exec "${OUTSOLE_CONTAINER_OPTIONS[@]}" "$OUTSOLE_CONTAINER" outsole)
elif [ ! -x "$OUTSOLE_EXECUTABLE" ]; then
  echo "$OUTSOLE_EXECUTABLE: no program here: build outsole (README.md) or set OUTSOLE_EXECUTABLE in $OUTSOLE_SITE" >&2
  false
fi
