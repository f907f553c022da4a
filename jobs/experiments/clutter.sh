#!/usr/bin/env bash
# Background clutter: FID-300's whole photos, which show rulers, labels and floor, beside the cropped marks, and beside what an
# examiner's mask leaves of the photos. Photos of which the crop has more than half are left out.
#
# Usage: clutter.sh [FOLDER]       results go to FOLDER (results/clutter)
#   FRAME       of the exemplars (586x270): what is larger, as whole photos are, is shrunk to fit. 900x720 holds photos at their own
#               scale, for eight times the memory and more than eight times the time: see `search --plan` first
#   EXEMPLARS   so many: the true ones, and others at random; 0: all
# Needs python3-numpy and python3-pil, and of OUTSOLE_DATA fid300 and weights; other settings: common.sh.
source "$(dirname "$0")/common.sh"
begin "${1:-}" clutter
need_data fid300/tracks_original fid300/tracks_original_pose.csv
need_python
fid=$data/fid300
extractors=${EXTRACTORS:-resnet50:res2b}
cut clutter --folder "$fid" --output "$results"
exemplars=$fid/references
if [ "${EXEMPLARS:-0}" -gt 0 ]; then
  exemplars=$results/some_exemplars
  cut some-exemplars --exemplars "$fid/references" --table "$results/labels.csv" --column exemplar --count "$EXEMPLARS" \
    --output "$exemplars"
fi
printf 'id,mirror\n00107,1\n00525,1\n' > "$results/mirror.csv"
run ingest --kind exemplars --input "$exemplars" --manifest "$results/mirror.csv" --lenient --output "$results/exemplars.h5"

for extractor in $extractors; do
  has_weights "$extractor" || continue
  index=$results/$(file_name "$extractor").index.h5
  run index --exemplars "$results/exemplars.h5" --extractor "$extractor" "${weights[@]}" --frame "${FRAME:-586x270}" \
    --output "$index"
  found=() names=()
  for part in cropped masked whole; do
    step "Searching: $extractor, $part"
    output=$results/$(file_name "$extractor").$part.h5
    run search --index "$index" "${search_weights[@]}" --marks "$results/$part" --all-scores --output "$output"
    found+=("$output") names+=("$part")
  done
  compare "$(file_name "$extractor")" "Clutter, $extractor" --labels "$results/labels.csv"
done
finish
