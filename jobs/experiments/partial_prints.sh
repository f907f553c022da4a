#!/usr/bin/env bash
# Partial prints: windows cut from prints, searched by translation alone among prints of which some show the same tread; the
# print that a window was cut from is not in the database. All variants of the similarity, for each extractor.
#
# Usage: partial_prints.sh [FOLDER] [COUNT]       results go to FOLDER (results/partial_prints); COUNT windows a set (512)
#   SETS       fid300 (exemplars of FID-300 with groups.csv) and replicates (scans of one sole belong together)
#   EXEMPLARS  of fid300 so many: those with a partner, and others at random; 0: all 1175
#   WINDOW_PX  side of a window at the scale of the search, 10 px/cm (97); FRAME of fid300's exemplars (586x270)
# Needs python3-numpy and python3-pil, and of OUTSOLE_DATA fid300, replicates and weights; other settings: common.sh.
source "$(dirname "$0")/common.sh"
begin "${1:-}" partial_prints
need_python
count=${2:-512}
extractors=${EXTRACTORS:-pixels resnet50:res2b squeezenet:fire3 vgg16:relu2_2}
window_px=${WINDOW_PX:-97}  # at the scale of the search

# partial SET PRINTS GROUPS SCALE FRAME
partial() {
  local set=$1 prints=$2 groups=$3 scale=$4 frame=$5 extractor folder
  cut partial-prints --prints "$prints" --groups "$groups" --count "$count" \
    --side "$("$python" -c "print(round($window_px / $scale))")" --output "$results/$set"
  step "Reading the prints of $set"
  run ingest --kind exemplars --input "$prints" --output "$results/$set/exemplars.h5"
  for extractor in $extractors; do
    has_weights "$extractor" || continue
    folder=$results/$set/$(file_name "$extractor")
    step "Feature maps: $set, $extractor"
    run index --exemplars "$results/$set/exemplars.h5" --extractor "$extractor" "${weights[@]}" --image-scale "$scale" \
      --frame "$frame" --output "$folder.index.h5"
    search_variants "$folder" "$folder.index.h5" "$results/$set/marks" --angles-deg 0 --stride-px 1
    decorrelated "$set" "$extractor" "$folder"
    compare "${set}_$(file_name "$extractor")" "Partial prints of $set, $extractor: $count windows of $window_px x $window_px px" \
      --labels "$results/$set/labels.csv" --exclude "$results/$set/exclude.csv"
  done
}

# MCNCC of features that are decorrelated by a principal component analysis of windows and prints, each by itself.
decorrelated() {
  local set=$1 extractor=$2 folder=$3
  if [ "$extractor" = pixels ] || ! knows learn; then return; fi
  step "Decorrelating: $set, $extractor"
  run learn --index "$folder.index.h5" "${search_weights[@]}" --marks "$results/$set/marks" --labels "$results/$set/labels.csv" \
    --method pca --angles-deg 0 --stride-px 1 --output "$folder.pca.h5"
  run search --index "$folder.index.h5" "${search_weights[@]}" --marks "$results/$set/marks" --angles-deg 0 --stride-px 1 --all-scores \
    --metric "$folder.pca.h5" --output "$folder/pca.h5"
  found+=("$folder/pca.h5") names+=("[mu_c,sigma_c] of PCA")
}

ran=
for set in ${SETS:-fid300 replicates}; do
  if [ ! -d "$data/$set" ]; then
    echo "$set is left out: there is no such folder in OUTSOLE_DATA (${data:-not set})" | tee -a "$tables"
    continue
  fi
  ran=1
  case $set in
    fid300)
      prints=$data/fid300/references
      if [ "${EXEMPLARS:-0}" -gt 0 ]; then
        prints=$results/fid300/prints
        cut some-exemplars --exemplars "$data/fid300/references" --table "$data/fid300/groups.csv" --column exemplar \
          --count "$EXEMPLARS" --output "$prints"
      fi
      partial fid300 "$prints" "$data/fid300/groups.csv" 0.5 "${FRAME:-586x270}"
      ;;
    replicates)
      cut replicates --folder "$data/replicates" --output "$results/replicates"
      partial replicates "$results/replicates/prints" "$results/replicates/groups.csv" 0.254 1413x547  # 10 px/cm, too
      ;;
  esac
done
[ -n "$ran" ] || skip "there is neither of the sets"
finish
