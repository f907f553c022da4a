#!/usr/bin/env bash
# Searches marks in groups, each group a task of one job array that starts, fails and carries on by itself: for many
# marks on a busy cluster. (One search over many nodes is faster where they come at once.)
#
# Usage: slurm/search_array.sh GROUPS RESULTS_DIR MARKS_DIR --index INDEX.h5 [options of search]
# Writes RESULTS_DIR/GROUP.h5 and GROUP.csv, and when all have ended well RESULTS_DIR/candidates.csv: all tables in one.
set -euo pipefail
if [ $# -lt 4 ] || ! [[ "$1" =~ ^[1-9][0-9]{0,3}$ ]]; then
  echo "usage: search_array.sh GROUPS RESULTS_DIR MARKS_DIR --index INDEX.h5 [options of search]" >&2
  exit 2
fi
groups=$1 results=$2 marks_dir=$3
shift 3
case $results in
  -*) results=./$results ;;   # no option
esac
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=slurm/environment.sh
source "$here/environment.sh"
# shellcheck source=slurm/allocation.sh
source "$here/allocation.sh"

# As the program lists a folder: images by their extension, links among them (one that leads nowhere is named by the search),
# without masks and hidden files. Names are bytes.
mapfile -d '' -t marks < <(LC_ALL=C find "$(realpath -- "$marks_dir")" -maxdepth 1 -mindepth 1 -regextype posix-extended \
  ! -xtype d ! -name '.*' ! -iregex '.*\.mask\.[^./]*' -iregex '.*\.(png|jpe?g|tiff?)' -print0 | LC_ALL=C sort -z)
if [ ${#marks[@]} -lt "$groups" ]; then
  echo "$marks_dir: ${#marks[@]} marks cannot fill $groups groups" >&2
  exit 2
fi

# in_quotes VALUE: as a configuration file takes any value, so that it is not cut at a # or at blanks.
in_quotes() {
  local value=${1//\\/\\\\}
  value=${value//\"/\\\"}
  printf '"%s"' "${value//$'\n'/\\n}"
}

# A group's marks are named by its own configuration file, as options of search. Neighbours go to different groups:
# marks of one case are often alike in size, and so in cost.
mkdir -p -- "$results/groups"
for ((group = 1; group <= groups; ++group)); do
  for ((i = group - 1; i < ${#marks[@]}; i += groups)); do
    printf 'marks = %s\n' "$(in_quotes "${marks[i]}")"
  done >"$results/groups/$group.ini"
done

literal=${results//%a/%%a}   # a %a of a name is no task
array=$("$here/submit.sh" --name search --logs "$results/logs" --array "1-$groups" \
  search --config "$literal/groups/%a.ini" --output "$literal/%a.h5" --csv "$literal/%a.csv" "${@//%a/%%a}")
mapfile -t small < <(sbatch_options validate)
gather=$(sbatch "${small[@]}" --parsable --job-name=gather --output="$(log_pattern "$results/logs")" \
  --dependency="afterok:$array" --kill-on-invalid-dep=yes "$here/gather.sbatch" "$groups" "$results")
echo "search: job array $array of $groups groups, ${#marks[@]} marks; gather: job $gather; logs in $results/logs"
