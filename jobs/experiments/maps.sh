#!/usr/bin/env bash
# Aerial photos and maps of the same places, in grey, without alignment: which map belongs to a photo.
#
# Usage: maps.sh [FOLDER]       results go to FOLDER (results/maps)
#   METHODS   of learning, where the program can, with two folds (weights cca+weights)
# Needs python3-numpy and python3-pil, and of OUTSOLE_DATA maps and weights; other settings: common.sh.
source "$(dirname "$0")/common.sh"
source "$here/aligned_pairs.sh"
begin "${1:-}" maps
aligned_pairs maps 0.5 "${FRAME:-600x600}" "${EXTRACTORS:-resnet18:layer3.1 resnet50:layer2.0 resnet50:res2b squeezenet:fire9 pixels}"
