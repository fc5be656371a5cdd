#!/usr/bin/env bash
# On a machine with a GPU: every test marked gpu and the benchmarks, in one call; results go to the folder given.
#   bash bench/gpu_check.sh [OUT]        (default bench/results)
set -uo pipefail
cd "$(dirname "$0")/.."
out=${1:-bench/results}
mkdir -p "$out"
status=0
python -m pytest -m gpu -rs 2>&1 | tee "$out/gpu_tests.log" || status=1
python bench/run.py --case layers --device @cupy:0 --json "$out/gpu_layers.json" || status=1
minigan train gan --device @cupy:0 --steps 20 --out "$out/gpu_run" --quiet && rm -rf "$out/gpu_run" || status=1
exit $status
