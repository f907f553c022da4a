#!/usr/bin/env bash
# FID-300, the whole protocol: every method's cumulative match characteristic beside the published ranks of ACCV 2014, by how much
# of the exemplar's area the mark has, and the first candidates of untrained and learned as pictures.
#
# Usage: fid300.sh [FOLDER] [COUNT]       results go to FOLDER (results/fid300); COUNT marks, spread evenly; 0: all (0)
#   FRAME    of the exemplars (586x270)
#   METRIC   extractor whose metrics are learned, in 5 folds (resnet50:res2b)
#   METHODS  by which (weights cca cca+weights finetune); cca+weights:64 learns 64 components, for a search in so much less time
#   RIDGES   that projections choose from, in cross-validation among the marks they learn from (1e-3,1e-2,1e-1,1)
#   EXTRACTORS  what is searched with; EXTRACTOR+FILTER filters the marks (resnet50:res2b+local-contrast)
#   FUSED    those of them that are made one more method by `outsole fuse`
#   STRIDE_PX  step of translations (2): 4 takes a quarter of the time, and costs small marks most
# Needs python3-numpy and python3-pil, and of OUTSOLE_DATA fid300 and weights; other settings: common.sh.
source "$(dirname "$0")/common.sh"
begin "${1:-}" fid300
need_data fid300
need_python
fid=$data/fid300
extractors=${EXTRACTORS:-resnet50:res2b scattering pixels}
methods=${METHODS:-weights cca cca+weights finetune}
stride=(--stride-px "${STRIDE_PX:-2}")
groups=()
if [ -f "$fid/groups.csv" ]; then groups=(--groups "$fid/groups.csv"); fi
cut visible --marks "$fid/tracks_cropped" --exemplars "$fid/references" --labels "$fid/labels.csv" "${groups[@]}" --count "${2:-0}" \
  --output "$results"
marks=$results/marks labels=$results/labels.csv

step "Reading the exemplars"
printf 'id,mirror\n00107,1\n00525,1\n' > "$results/mirror.csv"
run ingest --kind exemplars --input "$fid/references" --manifest "$results/mirror.csv" --lenient --output "$results/exemplars.h5"

# Adds the results of one method to what is compared.
search() {
  local name=$1 index=$2
  shift 2
  step "Searching: $name"
  run search --index "$index" "${search_weights[@]}" --marks "$marks" "${stride[@]}" --all-scores --output "$results/$(file_name "$name").h5" \
    --csv "$results/$(file_name "$name").csv" "$@"
  found+=("$results/$(file_name "$name").h5") names+=("$name")
}

learn() {
  local index=$results/$(file_name "$1").index.h5 method metric components settings
  knows learn || return 0
  for method in $methods; do
    metric=$results/$(file_name "$method").metric.h5
    step "Learning: $method"
    components=()
    if [[ $method == *:* ]]; then components=(--components "${method#*:}"); fi
    settings=(--ridge "${RIDGES:-1e-3,1e-2,1e-1,1}")
    case $method in
      weights) settings=() ;;
      finetune*) if [ -f "$results/$(file_name "cca+weights${method#finetune}").metric.h5" ]; then
        settings=(--init "$results/$(file_name "cca+weights${method#finetune}").metric.h5")
      fi ;;
    esac
    run learn --index "$index" "${search_weights[@]}" --marks "$marks" --labels "$labels" --method "${method%:*}" \
      "${components[@]}" "${settings[@]}" \
      --folds 5 --groups "$fid/groups.csv" "${stride[@]}" --results "$results/$(file_name "$1").h5" --pairs "$results/$(file_name "$1").pairs.h5" \
      --output "$metric"
    search "$1, $method" "$index" --metric "$metric"
    learned=${found[-1]}
  done
}

found=() names=() learned=
for term in $extractors; do
  extractor=${term%%+*} filter=()
  if [[ $term == *+* ]]; then filter=(--mark-filter "${term#*+}"); fi
  has_weights "$extractor" || continue
  step "Feature maps: $extractor"
  run index --exemplars "$results/exemplars.h5" --extractor "$extractor" "${weights[@]}" --frame "${FRAME:-586x270}" \
    --output "$results/$(file_name "$extractor").index.h5"
  search "$term" "$results/$(file_name "$extractor").index.h5" "${filter[@]}"
  if [ "$term" = "${METRIC:-resnet50:res2b}" ]; then learn "$extractor"; fi
done
if [ -n "${FUSED:-}" ]; then
  step "Fusing: $FUSED"
  fused=()
  for term in $FUSED; do fused+=("$results/$(file_name "$term").h5"); done
  run fuse --results "${fused[@]}" --output "$results/fused.h5" --csv "$results/fused.csv"
  found+=("$results/fused.h5") names+=("fused: $FUSED")
fi
first=${found[0]}
found+=("$fid/result_accv14_ranks.csv") names+=("ACCV 2014, published")
columns=(visible)
if [ ${#groups[@]} -gt 0 ]; then columns+=(half); fi
compare comparison "FID-300, cropped marks" --labels "$labels" --group-column "${columns[@]}"

step "Pictures of the first candidates"
pictures() {
  run evaluate retrieval --results "$1" --labels "$labels" --output "$2.json" --candidates "$2" --exemplars "$results/exemplars.h5" \
    --marks "$marks" >/dev/null
}
pictures "$first" "$results/candidates_untrained"
if [ -n "$learned" ]; then pictures "$learned" "$results/candidates_learned"; fi
finish
