#!/usr/bin/env bash
# On a machine with a GPU, in one call of less than ten minutes: every test marked gpu, the kernels against their twins,
# the benchmarks of layers, kernels and the training step (eager, as one graph, beside PyTorch's where it is installed),
# short trainings with and without graphs. Logs and JSON (device, driver, versions, commit) go to OUT.
#   bash bench/gpu_check.sh [OUT]        (default bench/results; MINIGAN_COMMIT names the commit where .git did not come along)
set -uo pipefail
cd "$(dirname "$0")/.."
out=${1:-bench/results}
mkdir -p "$out"
status=0
python -c "import minigan" 2> /dev/null || python -m pip install -q --no-index --no-deps --no-build-isolation -e . || exit 1
timeout 200 python -m pytest -m gpu -rs 2>&1 | tee "$out/gpu_tests.log" || status=1
MINIGAN_KERNEL_TESTS=@cupy:0 timeout 60 python -m pytest -rs tests/kernels/test_columns.py tests/kernels/test_fused_batch_norm.py \
    tests/kernels/test_activation.py tests/kernels/test_philox.py tests/kernels/test_optimizers.py 2>&1 | tee "$out/gpu_kernels.log" || status=1
timeout 60 python bench/run.py --case kernels --device @cupy:0 --repeats 20 --json "$out/gpu_kernels.json" || status=1
timeout 45 python bench/run.py --case layers --device @cupy:0 --repeats 20 --json "$out/gpu_layers.json" || status=1
step="python bench/run.py --case gpu_step --device @cupy:0 --repeats 20"
timeout 60 $step --json "$out/gpu_step.json" || status=1
timeout 60 $step --tf32 --json "$out/gpu_step_tf32.json" || status=1
if python -c "import torch" 2> /dev/null; then
    timeout 120 $step --tf32 --compiled --json "$out/gpu_step_compiled.json" || status=1
fi
for graph in "" --graph; do
    timeout 30 python -m minigan train dcgan --device @cupy:0 --steps 20 $graph --out "$out/gpu_run" --quiet || status=1
    rm -rf "$out/gpu_run"
done
exit $status
