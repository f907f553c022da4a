#!/usr/bin/env bash
# What a training step takes where images are split over ranks, one thread a rank:
#   split_training.sh BENCH_SPLIT_TRAINING [HEIGHTxWIDTH [STEPS [RANKS...]]] [-- WORDS...]
# By default 640x256, 3 steps, on 1, 2 and 4 ranks that hold an image together (more ranks than cores share them: their
# memory counts, not their time), with and without recomputation. WORDS go to every run: wait, ssim, residual.
# MiB are the most a rank took beyond what the program takes, and what is planned; border rows are what a rank sends a
# step, and the share of its time that it spends on them and on waiting for its neighbours; the loss is that of the
# last step, the same for all but for rounding.
set -euo pipefail
export LC_ALL=C OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
bench=$(realpath "$1")
shift
words=()
arguments=()
while (($#)); do
  if [ "$1" = -- ]; then shift; words=("$@"); break; fi
  arguments+=("$1")
  shift
done
size=${arguments[0]:-640x256}
steps=${arguments[1]:-3}
ranks=("${arguments[@]:2}")
[ ${#ranks[@]} -gt 0 ] || ranks=(1 2 4)

printf '%14s %5s %5s %5s %-9s %-4s %9s %9s %9s %6s %9s %7s %s\n' \
  size pairs ranks split '' '' 's a step' MiB planned ratio 'rows MiB' time loss
for recompute in '' recompute; do
  for count in "${ranks[@]}"; do
    mpirun --oversubscribe --bind-to none -n "$count" "$bench" "${size%x*}" "${size#*x}" 1 "$steps" "$count" $recompute ${words[@]+"${words[@]}"}
  done
done
