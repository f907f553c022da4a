#!/usr/bin/env bash
# Photos of facades and their label maps (CMP facades), without alignment: which label map belongs to a photo. Colours of the maps
# become classes 1 to 12, spread over grey levels.
#
# Usage: facades.sh [FOLDER]       results go to FOLDER (results/facades)
#   METHODS   of learning, where the program can, with two folds (weights cca+weights)
# Needs python3-numpy and python3-pil, and of OUTSOLE_DATA facades and weights; other settings: common.sh.
source "$(dirname "$0")/common.sh"
source "$here/aligned_pairs.sh"
begin "${1:-}" facades
aligned_pairs facades 1 "${FRAME:-256x256}" "${EXTRACTORS:-resnet50:res2b resnet50:layer2.0 squeezenet:fire3 vgg16:relu2_2 pixels}" --classes
