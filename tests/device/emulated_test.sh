#!/usr/bin/env bash
# The search on GPUs end to end where there is none: the driver is emulated, and runs the kernels' own source on the CPU.
#
#   tests/device/emulated_test.sh OUTSOLE FOLDER      the program, and the folder of the emulated libcuda.so.1
set -euo pipefail
outsole=$(realpath "$1")
emulated=$(realpath "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
fail() { printf 'FAILED: %s\n' "$1"; exit 1; }
run() {
  local ranks=$1
  shift
  mpirun -n "$ranks" --bind-to none --oversubscribe "$outsole" "$@" --log-level warn
}
on_gpus() {
  local ranks=$1
  shift
  run "$ranks" search --index index.h5 --marks marks --stride-px 4 --angles-deg=-4:4:4 --top 8 "$@"
}

run 1 synthesize exemplars --count 40 --seed 1 --size 96x56 --output exemplars
run 1 synthesize marks --exemplars exemplars --count 3 --seed 2 --damage 0.3 --max-angle-deg 4 --output marks
run 1 ingest --kind exemplars --input exemplars --output exemplars.h5
run 1 index --exemplars exemplars.h5 --extractor scattering --output index.h5
on_gpus 1 --device cpu --output cpu.h5 --csv cpu.csv

export LD_LIBRARY_PATH=$emulated${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
for ranks in 1 2 3; do
  mkdir "$ranks"
  on_gpus "$ranks" --output "$ranks/results.h5" --csv "$ranks/candidates.csv"
  cmp "$ranks/results.h5" 1/results.h5 || fail "other bytes on $ranks ranks"
  diff -r "$ranks/results.shards" 1/results.shards || fail "other bytes on $ranks ranks"
done
# Room for one block at a time.
OUTSOLE_EMULATED_GPU_MIB=640 on_gpus 1 --device-memory-gib 0.06 --output little.h5 --csv little.csv
cmp little.csv 1/candidates.csv || fail "other candidates in little memory"

python3 - <<'END' || fail "scores that are not those of the CPU"
import csv
read = lambda name: {(r["mark"], r["exemplar"]): float(r["score"]) for r in csv.DictReader(open(name))}
cpu, gpu = read("cpu.csv"), read("1/candidates.csv")
both = cpu.keys() & gpu.keys()
furthest = max(abs(cpu[k] - gpu[k]) for k in both)
print(f"{len(both)} of {len(cpu)} candidates are listed by both; scores differ by {furthest:.1e} at most")
assert len(both) >= 0.8 * len(cpu) and furthest < 1e-3
first = lambda scores, mark: max((s, e) for (m, e), s in scores.items() if m == mark)[1]
assert all(first(cpu, m) == first(gpu, m) for m in {m for m, _ in cpu})
END
if on_gpus 1 --device cuda --similarity cosine --output cosine.h5 2> refusal; then fail "no refusal"; fi
grep -q 'pools' refusal || fail "a refusal without its reason: $(cat refusal)"
