#!/usr/bin/env bash
# Why channels are normalized each by itself: how their means and standard deviations differ from print to print and from channel to
# channel, and how values are distributed once they are normalized.
#
# Usage: channel_statistics.sh [FOLDER] [COUNT]       results go to FOLDER (results/channel_statistics); COUNT exemplars; 0: all (200)
#   EXEMPLARS   a folder of prints (FID-300's)
# Needs python3-h5py, python3-numpy and python3-pil, and weights in OUTSOLE_DATA; other settings: common.sh.
source "$(dirname "$0")/common.sh"
begin "${1:-}" channel_statistics
exemplars=${EXEMPLARS:-$data/fid300/references}
[ -d "$exemplars" ] || skip "there are no exemplars in $exemplars (OUTSOLE_DATA: ${data:-not set})"
need_python
"$python" -c 'import h5py' 2>/dev/null || skip "$python lacks h5py (Debian: python3-h5py)"
run ingest --kind exemplars --input "$exemplars" --output "$results/exemplars.h5"
for extractor in ${EXTRACTORS:-resnet50:res2b squeezenet:fire3 vgg16:relu2_2}; do
  has_weights "$extractor" || continue
  folder=$results/$(file_name "$extractor")
  run index --exemplars "$results/exemplars.h5" --extractor "$extractor" "${weights[@]}" --border-cells 0 --output "$folder.index.h5"
  {
    echo
    echo "$extractor"
    "$python" "$here/channel_statistics.py" --index "$folder.index.h5" --limit "${2:-200}" --output "$folder"
  } | tee -a "$tables"
done
finish
