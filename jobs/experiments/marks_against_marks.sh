#!/usr/bin/env bash
# Links marks of different scenes: every mark is searched among all others. EXTRACTOR.links.csv lists, for each mark, the others that look most
# like it, with the pose; with labels it is also measured how often a mark of the same shoe is among the first.
#
# Usage: marks_against_marks.sh [FOLDER] [MARKS] [LABELS]       results go to FOLDER (results/marks_against_marks)
#   MARKS     a folder of images (FID-300's cropped marks); LABELS: which exemplar they show: mark,exemplar or query,ref (FID-300's);
#             none: - , as in casework
#   STRIDE    of translations, in px at the scale of the search (2); SCALE: of that (0.5); TOP: links listed of each mark (20)
# Needs python3-numpy and python3-pil; other settings: common.sh.
source "$(dirname "$0")/common.sh"
begin "${1:-}" marks_against_marks
marks=${2:-$data/fid300/tracks_cropped}
labels=${3:-$data/fid300/labels.csv}
[ -d "$marks" ] || skip "there are no marks in $marks (OUTSOLE_DATA: ${data:-not set})"
need_python
extractors=${EXTRACTORS:-resnet50:res2b}
truth=()
if [ "$labels" != - ]; then truth=(--labels "$labels"); fi
cut links --marks "$marks" "${truth[@]}" --output "$results"

step "Marks as exemplars"
run ingest --kind exemplars --input "$marks" --output "$results/marks.h5"
found=() names=()
for extractor in $extractors; do
  has_weights "$extractor" || continue
  output=$results/$(file_name "$extractor")
  run index --exemplars "$results/marks.h5" --extractor "$extractor" "${weights[@]}" --image-scale "${SCALE:-0.5}" --frame max \
    --output "$output.index.h5"
  step "Searching every mark among the marks: $extractor"
  run search --index "$output.index.h5" "${search_weights[@]}" --marks "$marks" --stride-px "${STRIDE:-2}" --all-scores \
    --top "$((${TOP:-20} + 1))" --output "$output.h5" --csv "$output.csv"
  # A mark is no link of itself: it is left out, and those behind it move up.
  "$python" -c 'import csv, sys
source, target, top = sys.argv[1], sys.argv[2], int(sys.argv[3])
with open(source, newline="") as file:
    rows = [row for row in csv.DictReader(file) if row["mark"] != row["exemplar"]]
with open(target, "w", newline="") as file:
    out = csv.writer(file, lineterminator="\n")
    out.writerow(["mark", "rank", "other_mark", "score", "angle_deg", "y_px", "x_px", "scale"])
    place = {}
    for row in rows:
        place[row["mark"]] = rank = place.get(row["mark"], 0) + 1
        if rank <= top:
            out.writerow([row["mark"], rank, row["exemplar"]] + [row[key] for key in ("score", "angle_deg", "y_px", "x_px", "scale")])' "$output.csv" "$output.links.csv" "${TOP:-20}"
  found+=("$output.h5") names+=("$extractor")
done
if [ -f "$results/pairs.csv" ]; then
  compare comparison "Marks against marks" --labels "$results/pairs.csv" --exclude "$results/exclude.csv"
fi
finish
