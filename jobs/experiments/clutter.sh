#!/usr/bin/env bash
# Background clutter: FID-300's whole photos, which show rulers, labels and floor, beside the cropped marks, and beside the photos
# with an examiner's mask.
#
# Usage: clutter.sh [FOLDER]       results go to FOLDER (results/clutter)
#   FRAME       of the exemplars (586x270): what is larger, as whole photos are, is shrunk to fit. 900x720 holds photos at their own
#               scale, for eight times the memory and more than eight times the time: see `search --plan` first
#   EXEMPLARS   so many: the true ones, and others at random; 0: all
#   MARKS       so many; 0: all
#   SHARE       photos of which the crop has more than this share are left out (0.5); 1: none are
#   SCALES      masked photos also enlarged and reduced, with their resolution, as in "1.2 3 0.5"
#   OVERHANGS   masked photos also searched over the frame's edge, as in "0.1 0.3"
#   STRIDE      of translations (2)
# Needs python3-numpy and python3-pil, and of OUTSOLE_DATA fid300 and weights; other settings: common.sh.
source "$(dirname "$0")/common.sh"
begin "${1:-}" clutter
need_data fid300/tracks_original fid300/tracks_original_pose.csv
need_python
fid=$data/fid300
extractors=${EXTRACTORS:-resnet50:res2b}
cut clutter --folder "$fid" --output "$results" --count "${MARKS:-0}" --share "${SHARE:-0.5}" --scales "${SCALES:-}"
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
    --exemplar-dpi 50.8 --output "$index"
  found=() names=()
  # search_part NAME FOLDER [search options...]
  search_part() {
    local name=$1 folder=$2 output
    shift 2
    step "Searching: $extractor, $name"
    output=$results/$(file_name "$extractor").$name.h5
    run search --index "$index" "${search_weights[@]}" --marks "$results/$folder" --stride-px "${STRIDE:-2}" --all-scores \
      --output "$output" "$@"
    found+=("$output") names+=("$name")
  }
  for part in cropped masked whole; do search_part "$part" "$part"; done
  for scale in ${SCALES:-}; do search_part "masked_x$scale" "masked_x$scale" --fit-frame yes; done
  for share in ${OVERHANGS:-}; do search_part "masked_overhang_$share" masked --overhang "$share"; done
  compare "$(file_name "$extractor")" "Clutter, $extractor" --labels "$results/labels.csv"
done
finish
