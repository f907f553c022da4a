#!/usr/bin/env bash
# The scripts of slurm/ and the program agree on marks whose names hold what names may hold: names_test.sh OUTSOLE_EXECUTABLE
# Needs no Slurm: sbatch is a script that keeps what it is asked for.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
scripts=$(cd "$here/../../slurm" && pwd)
executable=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

failures=0
fail() {
  echo "FAILED: $*"
  failures=$((failures + 1))
}
expect_equal() { [ "$2" == "$3" ] || fail "$1: expected '$2', got '$3'"; }

# --- A site and a queue ---------------------------------------------------------------------------------------------

mkdir bin
cat >bin/sbatch <<'SCRIPT'
#!/usr/bin/env bash
# A line a word, an empty one at the end.
printf '%q\n' "$@" '' >>"$ASKED"
echo 7
SCRIPT
printf '#!/bin/sh\n' >bin/scontrol
chmod +x bin/*
export PATH=$work/bin:$PATH ASKED=$work/asked
sed "s|^OUTSOLE_EXECUTABLE=.*|OUTSOLE_EXECUTABLE=$executable|; s|^OUTSOLE_HOME=.*|OUTSOLE_HOME=$scripts/..|" \
  "$scripts/site.sh" >site.sh
export OUTSOLE_SITE=$work/site.sh

# --- Marks of many names --------------------------------------------------------------------------------------------

quiet() { "$@" >log 2>&1 || { cat log; fail "$*"; }; }
quiet "$executable" synthesize exemplars --seed 1 --count 3 --size 64x32 --output ex
quiet "$executable" ingest --kind exemplars --input ex --output e.h5
quiet "$executable" index --exemplars e.h5 --extractor pixels --output i.h5
print=$(echo "$work"/ex/*1.png)

names=('case #12' '#1' 'a b' ' blank first' 'blank last ' "it's" 'say "no"' '"quoted"' 'back\slash' 'ends in \' 'a=b' '[section]'
  'x;y' 'a&b' 'a|b' '$HOME' '`date`' '$(date)' '100%' '50%a' '%%a' '*' '?' '{a,b}' '~' '!bang' '-dash' '--index' '(1)' '<a>'
  'comma,comma' 'colon:colon' 'caf'$'\xc3\xa9' 'e'$'\xcc\x81''tude' 'dots.in.name' 'UPPER' '漢字' 'tab-less')
marks='marks #1 of "50%a"'
mkdir "$marks" links
for name in "${names[@]}"; do cp "$print" "$marks/$name.png"; done
cp "$print" "links/target.png"
ln -s "../links/target.png" "$marks/link.png"
ln -s "$work/links/target.png" "$marks/absolute link.PNG"
# What the program does not take for a mark of a folder, either.
mkdir "$marks/folder.png"
ln -s ../links "$marks/link to a folder.png"
cp "$print" "$marks/masked.png"
cp "$print" "$marks/masked.mask.png"   # any picture of its size is a mask
cp "$print" "$marks/._of a mac.png"
touch "$marks/Thumbs.db" "$marks/notes.txt"
expected=$((${#names[@]} + 3))

# --- Every mark is in one group, and every group is read back --------------------------------------------------------

results='res=1 "a" 50%a #2'
quiet "$scripts/search_array.sh" 3 "$results" "$marks" --index "$work/i.h5" --stride-px 8 --angles-deg 0
expect_equal 'marks told' "$expected" "$(sed -n 's/.* groups, \([0-9]*\) marks.*/\1/p' log)"
found=0
# shellcheck source=slurm/allocation.sh
OUTSOLE_SBATCH_OPTIONS=() source "$scripts/allocation.sh"
for group in 1 2 3; do
  words_of_task words "$group" search --config "${results//%a/%%a}/groups/%a.ini" --output "${results//%a/%%a}/%a.h5" \
    --csv "${results//%a/%%a}/%a.csv"
  quiet "$executable" "${words[@]}" --index i.h5 --stride-px 8 --angles-deg 0 --strict
  found=$((found + $(sed -n 's/^.*: \([0-9]*\) marks against.*/\1/p' log)))
done
expect_equal 'marks searched' "$expected" "$found"

quiet bash "$scripts/gather.sbatch" 3 "$results"
expect_equal 'candidates gathered' $((expected * 3 + 1)) "$(wc -l <"$results/candidates.csv")"
cp -r "$results" 'run=2'
rm 'run=2/candidates.csv'
quiet bash "$scripts/gather.sbatch" 3 'run=2'
expect_equal 'candidates of a folder that looks like an assignment' $((expected * 3 + 1)) "$(wc -l <'run=2/candidates.csv')"

# --- What sbatch is asked for ----------------------------------------------------------------------------------------

grep -qF -- "$(printf '%q' "--output=${results//%/%%}/logs/%x-%j.log")" "$ASKED" || fail "a % of a folder is not kept from sbatch"
: >"$ASKED"
quiet "$scripts/submit.sh" --name 'my run' --logs 'my logs' search --index 'i #1.h5' --marks "$marks" --output 'r 1.h5'
for word in 'i #1.h5' "$marks" 'r 1.h5' '--job-name=my run'; do
  grep -qxF -- "$(printf '%q' "$word")" "$ASKED" || fail "submit.sh does not hand on '$word'"
done

# --- What steps ask for -----------------------------------------------------------------------------------------------

# Prints the lines of sbatch that would submit JOB OPTIONS... at a site of these settings.
dry_run() {
  local settings=$1
  shift
  { cat "$work/site.sh"; printf '%s\n' "$settings"; } >"$work/other_site.sh"
  OUTSOLE_SITE=$work/other_site.sh "$scripts/submit.sh" --dry-run "$@" 2>&1 >/dev/null
}
holds() { case " $1 " in *" $2 "*) ;; *) fail "no $2 in: $1" ;; esac; }
lacks() { case " $1 " in *" $2 "*) fail "$2 in: $1" ;; esac; }

: >"$ASKED"
apart='OUTSOLE_GPUS_PER_NODE=4 OUTSOLE_GPU_CORES_PER_RANK=12 OUTSOLE_GPU_OPTIONS=(--gres=gpu:a100:%n)
OUTSOLE_CPU_SBATCH_OPTIONS=(--partition=cpu) OUTSOLE_GPU_SBATCH_OPTIONS=(--partition=gpu) OUTSOLE_SMALL_SBATCH_OPTIONS=(--qos=short)'
line=$(dry_run "$apart" index --exemplars e.h5 --output i.h5 | tail -1)
for word in --gres=gpu:a100:4 --cpus-per-task=12 --partition=gpu --ntasks-per-node=4; do holds "$line" "$word"; done
lacks "$line" --partition=cpu
line=$(dry_run "$apart" evaluate retrieval --results r.h5 --labels l.csv --output e.json | tail -1)
for word in --partition=cpu --qos=short --cpus-per-task=1 --mem=8G --time=60; do holds "$line" "$word"; done
line=$(dry_run "$apart" prepare --scans s.h5 --output p.h5 | tail -1)
for word in --partition=cpu --cpus-per-task=16 --mem=64G --time=720; do holds "$line" "$word"; done
lacks "$line" --qos=short
expect_equal 'what a dry run submits' '' "$(cat "$ASKED")"
mkdir other
printf '%s\n' 'results=res exemplars=(ex) marks=(marks) labels=labels.csv' >run.sh
line=$("$scripts/pipeline.sh" --dry-run run.sh 2>&1)
for word in --candidates --job-name=res.search --dependency=afterok:res.search:res.evaluate.size \
  --dependency=afterok:res.evaluate:res.report.size --dependency=afterok:res.report:res.validate.size; do
  holds "${line//$'\n'/ }" "$word"
done
# A copy of a site.sh from before some of its settings, which takes its own place for outsole's.
sed '/^OUTSOLE_\(CPU_\|SMALL_\|GPU_[OMC]\|PLANS_\)/d; s|^OUTSOLE_HOME=.*|OUTSOLE_HOME=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." \&\& pwd)|' \
  site.sh >other/site.sh
line=$(OUTSOLE_SITE=$work/other/site.sh "$scripts/submit.sh" --dry-run index --exemplars e.h5 --output i.h5 2>&1 >/dev/null | tail -1)
holds "$line" "$(cd "$scripts" && pwd)/job.sbatch"

# --- Without a place for temporary files -----------------------------------------------------------------------------

if grep -n '<<<\|<<[A-Z'"'"'"-]' "$scripts"/*.sh "$scripts"/*.sbatch; then
  fail 'here-documents and here-strings need a place for temporary files'
fi

[ "$failures" -eq 0 ] && echo "all names agree"
