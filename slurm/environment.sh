# Makes outsole ready to run in this shell: source slurm/environment.sh, then "${outsole[@]}" JOB OPTIONS...
# shellcheck shell=bash disable=SC2034  # the shell that sources this file uses `outsole`
OUTSOLE_SITE=$(realpath "${OUTSOLE_SITE:-$(dirname "${BASH_SOURCE[0]}")/site.sh}")
export OUTSOLE_SITE   # jobs find the same settings
# shellcheck source=slurm/site.sh
source "$OUTSOLE_SITE"

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
