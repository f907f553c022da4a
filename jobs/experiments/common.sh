# What the experiments share; each script of this folder sources it. Settings are variables of the environment:
#   OUTSOLE_DATA  folder of the data sets, in their own layout (README.md)
#   OUTSOLE       the program; else build/release/outsole or build/program/outsole
#   RANKS         MPI ranks (1)
#   WEIGHTS       folder of networks' weights ($OUTSOLE_DATA/weights)
#   PYTHON        a Python with numpy and Pillow
#   EXTRACTORS, SIMILARITIES   what is compared, separated by spaces; the first one is what others are tested against
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
data=${OUTSOLE_DATA:-}
outsole=${OUTSOLE:-$here/../../build/release/outsole}
if [ -z "${OUTSOLE:-}" ] && [ ! -x "$outsole" ]; then
  outsole=$here/../../build/program/outsole
fi

# Every [centring, scaling] that is compared, the paper's best one first; what a program does not know is left out. none,sigma is
# cosine similarity.
similarities=${SIMILARITIES:-mu_c,sigma_c mu_c,sigma mu_c,none mu_bar_c,sigma_bar_c mu_bar_c,none mu,sigma mu,none none,sigma none,none}

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1  # as in containers

step() { printf '\n== %s\n' "$1" >&2; }
skip() {
  echo "skipped: $1"
  exit 0
}

run() {
  if [ "${RANKS:-1}" -eq 1 ]; then
    "$outsole" "$@"
  else
    mpirun -n "$RANKS" --bind-to none --oversubscribe "$outsole" "$@"
  fi
}

# need_data FOLDER...: of OUTSOLE_DATA, or there is nothing to do.
need_data() {
  local folder
  for folder; do
    [ -e "$data/$folder" ] || skip "there is no $folder in OUTSOLE_DATA (${data:-not set})"
  done
}

need_program() {
  [ -x "$outsole" ] || { echo "there is no $outsole: build it, or say where it is (OUTSOLE)" >&2; exit 4; }
}

python=
need_python() {
  for python in ${PYTHON:-python3 /usr/bin/python3}; do
    if "$python" -c 'import numpy, PIL' 2>/dev/null; then return; fi
  done
  echo "this needs a Python with numpy and Pillow (Debian: python3-numpy python3-pil), named by PYTHON" >&2
  exit 4
}
cut() { "$python" "$here/cut_images.py" "$@"; }

# begin FOLDER DEFAULT: sets `results`, where everything goes, and `tables`, the text that the script ends with.
begin() {
  need_program
  results=$(realpath --canonicalize-missing "${1:-$here/../../results/$2}")
  mkdir -p "$results"
  tables=$results/tables.txt
  : > "$tables"
}

file_name() { printf '%s\n' "$1" | sed 's/:/_/g; s/[^A-Za-z0-9._-]/-/g'; }

# weights_of EXTRACTOR: sets the arrays `weights`, for index, and `search_weights`, for search.
weights_of() {
  local folder=${WEIGHTS:-$data/weights} file= convention=caffe
  case $1 in
    resnet50:res2* | resnet50:layer1*) file=resnet50_layer1.safetensors ;;
    resnet50:*) file=resnet50_layer1_layer2_0.safetensors ;;
    resnet18:*) file=resnet18_layer1_3_folded.safetensors convention=torchvision-folded ;;
    vgg16:*) file=vgg16_conv1_conv2.safetensors ;;
    squeezenet:*) file=squeezenet1_1_features.safetensors ;;
    googlenet:*) file=googlenet.safetensors ;;
  esac
  weights=() search_weights=()
  if [ -n "$file" ]; then
    search_weights=(--weights "$folder/$file")
    weights=("${search_weights[@]}" --weights-convention "$convention")
  fi
}

# has_weights EXTRACTOR: sets both arrays; false, and says so, where the file is not there.
has_weights() {
  weights_of "$1"
  if [ ${#weights[@]} -gt 0 ] && [ ! -f "${weights[1]}" ]; then
    echo "$1 is left out: there is no ${weights[1]}" | tee -a "$tables"
    return 1
  fi
}

# knows JOB [OPTION]: whether the program has it.
knows() {
  local help
  help=$("$outsole" "$1" --help 2>/dev/null) && [[ $help == *"${2:-}"* ]]
}

knows_similarity() {
  local message
  message=$("$outsole" search --similarity "$1" --index nothing.h5 --marks nothing --output nothing.h5 --plan 2>&1) || true
  [[ $message != *--similarity* ]]
}

# search_variants FOLDER INDEX MARKS [search options...]: one result a similarity, FOLDER/SIMILARITY.h5, with all scores; sets the arrays
# `found` and `names`. Resumable: what is complete is not searched again.
search_variants() {
  local folder=$1 index=$2 marks=$3 similarity
  shift 3
  mkdir -p "$folder"
  found=() names=()
  for similarity in $similarities; do
    if ! knows_similarity "$similarity"; then
      echo "[$similarity] is left out: this program does not know it" | tee -a "$tables"
      continue
    fi
    step "Searching: $(basename "$folder"), [$similarity]"
    run search --index "$index" "${search_weights[@]}" --marks "$marks" --similarity "$similarity" --all-scores \
      --output "$folder/$(file_name "$similarity").h5" "$@"
    found+=("$folder/$(file_name "$similarity").h5")
    names+=("[$similarity]")
  done
}

# compare NAME TITLE [evaluate options...]: `found` against each other: NAME.json, NAME.svg, NAME.precision_recall.svg in the
# results, and a table in the text.
compare() {
  local name=$1 title=$2
  shift 2
  {
    echo
    echo "$title"
    run evaluate comparison --results "${found[@]}" --names "${names[@]}" --output "$results/$name.json" \
      --figure "$results/$name.svg" --log-rank --figure-precision-recall "$results/$name.precision_recall.svg" "$@"
  } | tee -a "$tables"
}

finish() {
  step "Done: tables.txt, *.json and *.svg in $results"
}
