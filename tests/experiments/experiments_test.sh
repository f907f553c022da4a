#!/usr/bin/env bash
# Runs the machinery of jobs/experiments on data sets of a few synthetic images in the layout of the real ones, with raw pixels and
# two similarities. What the numbers are does not matter here; that they come out, and again when the script is run again, does.
# Usage: experiments_test.sh OUTSOLE
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
experiments=$here/../../jobs/experiments
for python in python3 /usr/bin/python3; do
  "$python" -c 'import numpy, PIL' 2>/dev/null && break
  python=
done
if [ -z "$python" ]; then
  echo "skipped: python3-numpy and python3-pil are missing"
  exit 77
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export OUTSOLE=$1 OUTSOLE_DATA=$work/data PYTHON=$python OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
export SIMILARITIES="mu_c,sigma_c none,none" EXTRACTORS=pixels
"$python" "$here/tiny_data.py" "$OUTSOLE_DATA"

fail() {
  echo "FAILED: $1" >&2
  exit 1
}
# experiment NAME [arguments]: must end well and leave its tables.
experiment() {
  local name=$1
  shift
  "$experiments/$name.sh" "$work/$name" "$@" >"$work/$name.log" 2>&1 || { cat "$work/$name.log"; fail "$name"; }
  [ -s "$work/$name/tables.txt" ] || fail "$name has no tables"
}
holds() { grep -q -- "$2" "$1" || { cat "$1"; fail "$1 lacks: $2"; }; }

FRAME=48x40 WINDOW_PX=12 experiment partial_prints 3
holds "$work/partial_prints/tables.txt" "Partial prints of fid300, pixels: 3 windows"
holds "$work/partial_prints/tables.txt" "3 marks, 5 exemplars"  # without the print that it was cut from
holds "$work/partial_prints/tables.txt" "Against \[mu_c,sigma_c\]"
holds "$work/partial_prints/fid300_pixels.precision_recall.svg" "precision (%)"
cp "$work/partial_prints/fid300_pixels.json" "$work/first.json"
SETS=fid300 FRAME=48x40 WINDOW_PX=12 experiment partial_prints 3
cmp "$work/first.json" "$work/partial_prints/fid300_pixels.json" || fail "run again, partial_prints gave something else"

SIMILARITIES=mu_c,sigma_c FRAME=32x32 experiment facades
holds "$work/facades/tables.txt" "Facades, pixels, without alignment"
STRIDE=4 experiment marks_against_marks
holds "$work/marks_against_marks/pixels.links.csv" "mark,rank,other_mark"
if grep -q "^00001,1,00001," "$work/marks_against_marks/pixels.links.csv"; then fail "a mark is linked with itself"; fi
FRAME=48x40 SCALES=2 OVERHANGS=0.2 experiment clutter
holds "$work/clutter/tables.txt" "masked_x2"
holds "$work/clutter/tables.txt" "whole"
EXTRACTORS="pixels pixels+local-contrast" FUSED="pixels pixels+local-contrast" FRAME=48x40 experiment fid300
holds "$work/fid300/tables.txt" "ACCV 2014, published"
holds "$work/fid300/tables.txt" "visible half: "
holds "$work/fid300/tables.txt" "half choosing: "
holds "$work/fid300/tables.txt" "fused: pixels pixels+local-contrast"

OUTSOLE_DATA=$work/nothing "$experiments/facades.sh" "$work/none" | grep -q "skipped: there is no facades" || fail "missing data"
echo "all experiments run"
