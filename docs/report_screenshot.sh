#!/usr/bin/env bash
# Makes docs/report.png: the page of a synthetic mark, as Chromium shows it. Needs Chromium, and a build.
# Usage: docs/report_screenshot.sh [OUTSOLE]     default: build/release/outsole
set -euo pipefail
outsole=$(realpath "${1:-$(dirname "$0")/../build/release/outsole}")
docs=$(realpath "$(dirname "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
"$outsole" synthesize exemplars --count 60 --seed 1 --size 586x240 --output exemplars
"$outsole" synthesize marks --exemplars exemplars --count 12 --seed 2 --damage 0.6 --output marks
find marks -name 'mark*.png' ! -name mark00003.png ! -name mark00004.png -delete
"$outsole" ingest --kind exemplars --input exemplars --manifest exemplars/manifest.csv --output exemplars.h5
"$outsole" index --exemplars exemplars.h5 --output index.h5
"$outsole" search --index index.h5 --marks marks --all-scores --output results.h5
"$outsole" report --results results.h5 --exemplars exemplars.h5 --marks marks --index index.h5 --output page
PYTHONPATH="$docs/../tests/report" python3 - "$work/page/marks/00001.html" "$docs/report.png" <<'END'
import sys
from browser import Browser
with Browser(width=1280, height=1230) as browser:
    browser.open(sys.argv[1])
    browser.value("Promise.all([...document.querySelectorAll('img')].map(i => { i.loading = 'eager'; return i.decode(); }))")
    browser.screenshot(sys.argv[2])
END
