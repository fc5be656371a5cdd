#!/usr/bin/env bash
# On a machine with a GPU, in one call of less than ten minutes: do 20 steps end in the CPU's weights, every test marked
# gpu, the kernels against their twins, the benchmarks of steps, kernels and layers beside PyTorch's (of the running
# Python, where it is installed), short trainings with and without graphs. Logs and JSON (driver, clocks, versions,
# commit) go to OUT; the last lines say which goals were met (bench/goals.py).
#   bash bench/gpu_check.sh [OUT]        (default bench/results; MINIGAN_COMMIT names the commit where .git did not come along)
set -uo pipefail
cd "$(dirname "$0")/.."
out=${1:-bench/results}
mkdir -p "$out"
status=0

within() {  # SECONDS COMMAND...: no longer than that, nor than the ten minutes
    local left=$((590 - SECONDS))
    ((left > 0)) && timeout $(($1 < left ? $1 : left)) "${@:2}"
}
bench() {  # SECONDS NAME ARGUMENTS...
    within "$1" python bench/run.py --device cuda --json "$out/gpu_$2.json" "${@:3}"
}

python -c "import minigan" 2> /dev/null || python -m pip install -q --no-index --no-deps --no-build-isolation -e . || exit 1
bench 45 agreement --case agreement || status=1
for tf32 in "" --tf32; do  # a peer that fails or computes something else must not cost the others' figures
    step="step${tf32:+_tf32} --case gan_step,mlp_step $tf32"
    bench 150 $step --peers torch --compiled || bench 60 $step --peers torch || { status=1; bench 45 $step; }
done
bench 75 kernels --case im2col,batch_norm,elementwise --peers torch || { status=1; bench 60 kernels --case im2col,batch_norm,elementwise; }
within 150 python -m pytest -m gpu -rs 2>&1 | tee "$out/gpu_tests.log" || status=1
MINIGAN_KERNEL_TESTS=@cupy:0 within 60 python -m pytest -rs tests/kernels/test_columns.py tests/kernels/test_fused_batch_norm.py \
    tests/kernels/test_activation.py tests/kernels/test_philox.py tests/kernels/test_optimizers.py 2>&1 | tee "$out/gpu_kernels.log" || status=1
bench 45 layers --case convolution,deconvolution --peers torch || status=1
for graph in "" --graph; do
    within 30 python -m minigan train dcgan --device @cupy:0 --steps 20 $graph --out "$out/gpu_run" --quiet || status=1
    rm -rf "$out/gpu_run"
done
python bench/goals.py "$out"
exit $status
