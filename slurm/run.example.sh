# What one run is about, for slurm/pipeline.sh. Copy it, keep it beside the results. Leave out the half you do not need.
# shellcheck shell=bash disable=SC2034
results=/scratch/casework/run1
pictures=yes   # report/ for an examiner, candidates/ of each mark (with labels), preparation/ of each scan; no: none

# Search: exemplars and marks; labels only where the truth is known.
exemplars=(/data/exemplars)
marks=(/data/marks)
labels=/data/labels.csv
ingest_options=(--manifest /data/exemplars.csv)
index_options=(--extractor resnet50:res2b --weights /data/resnet50_layer1.safetensors --frame 586x270)
search_options=(--weights /data/resnet50_layer1.safetensors --all-scores)
report_options=(--weights /data/resnet50_layer1.safetensors)

# Wear: scans of the same outsoles over months.
scans=(/data/scans)
manifest=/data/scans.csv
task=prediction
weeks=8,24,34
scan_options=()
prepare_options=(--size 640x256)
train_options=(--epochs 10000 --batch 8)
