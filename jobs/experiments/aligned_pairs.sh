# Photos and what is drawn of them, lying exactly on each other: sourced by facades.sh and maps.sh.

# aligned_pairs SET SCALE FRAME EXTRACTORS [cut_images options]
aligned_pairs() {
  local set=$1 scale=$2 frame=$3 extractors=$4 extractor folder as_they_lie=(--angles-deg 0 --erosion 0)
  shift 4
  need_data "$set"
  need_python
  # Marks as large as the frame have one pose only, with the option or without.
  if knows search --no-search; then as_they_lie=(--no-search); fi
  similarities=${SIMILARITIES:-$similarities euclidean}
  cut pairs --folder "$data/$set" --output "$results" "$@"
  run ingest --kind exemplars --input "$results/exemplars" --output "$results/exemplars.h5"
  for extractor in $extractors; do
    has_weights "$extractor" || continue
    folder=$results/$(file_name "$extractor")
    step "Feature maps: $set, $extractor"
    run index --exemplars "$results/exemplars.h5" --extractor "$extractor" "${weights[@]}" --image-scale "$scale" --frame "$frame" \
      --border-cells 0 --output "$folder.index.h5"
    search_variants "$folder" "$folder.index.h5" "$results/marks" "${as_they_lie[@]}"
    learned_halves "$folder"
    compare "$(file_name "$extractor")" "${set^}, $extractor, without alignment" --labels "$results/labels.csv"
  done
  finish
}

# Metrics learned on one half of the pairs and judged on the other, each half once.
learned_halves() {
  local method folder=$1
  knows learn || return 0
  for method in ${METHODS:-weights cca+weights}; do
    step "Learning: $method"
    run learn --index "$folder.index.h5" "${search_weights[@]}" --marks "$results/marks" --labels "$results/labels.csv" --method "$method" \
      --folds 2 --angles-deg 0 --erosion 0 --pairs "$folder.pairs.h5" --output "$folder.$(file_name "$method").metric.h5"
    run search --index "$folder.index.h5" "${search_weights[@]}" --marks "$results/marks" "${as_they_lie[@]}" --all-scores \
      --metric "$folder.$(file_name "$method").metric.h5" --output "$folder/$(file_name "$method").h5"
    found+=("$folder/$(file_name "$method").h5") names+=("learned, $method")
  done
}
