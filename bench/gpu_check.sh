#!/usr/bin/env bash
# On a machine with a GPU, in one call of less than ten minutes: do 20 steps end in the CPU's weights, every test marked
# gpu, the kernels against their twins, the benchmarks of steps, kernels and layers beside PyTorch's (of the running
# Python, where it is installed), short trainings with and without graphs. Logs and JSON (driver, clocks, versions,
# commit) go to OUT; the last lines say which goals were met (bench/goals.py).
#   bash bench/gpu_check.sh [OUT]        (default bench/results; MINIGAN_COMMIT names the commit where .git did not come along)
set -uo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "${1:-$root/bench/results}" || exit 1
out=$(cd "${1:-$root/bench/results}" && pwd)
cd "$root"
status=0

within() {  # SECONDS COMMAND...: no longer than that, nor than the ten minutes; as Ctrl-C ends it, what is done is kept
    local left=$((580 - SECONDS))
    ((left > 0)) && timeout -s INT -k 10 $(($1 < left ? $1 : left)) "${@:2}"
}
bench() {  # SECONDS NAME ARGUMENTS...
    within "$1" python bench/run.py --device cuda --json "$out/gpu_$2.json" "${@:3}"
}
steps() {  # NAME ARGUMENTS...: a peer that fails or computes something else must not cost the others' figures
    local step="$1 --case gan_step,mlp_step ${*:2}"
    bench 150 $step --peers torch --compiled || bench 60 $step --peers torch || { status=1; bench 45 $step; }
}

python -c "import minigan" 2> /dev/null || python -m pip install -q --no-index --no-deps --no-build-isolation -e . || exit 1
bench 40 agreement --case agreement || status=1
kernels="kernels --case im2col,batch_norm,elementwise"
bench 75 $kernels --peers torch || { status=1; bench 60 $kernels; }
steps step
MINIGAN_KERNEL_TESTS=@cupy:0 within 50 python -m pytest -rs \
    tests/kernels/test_{columns,fused_batch_norm,bias_activation,activation,logits,philox,optimizers}.py 2>&1 |
    tee "$out/gpu_kernels.log" || status=1
within 140 python -m pytest -m gpu -rs 2>&1 | tee "$out/gpu_tests.log" || status=1
for graph in "" --graph; do
    within 25 python -m minigan train dcgan --device @cupy:0 --steps 20 $graph --out "$out/gpu_run" --quiet || status=1
    rm -rf "$out/gpu_run"
done
steps step_tf32 --tf32  # these two take what time is left
bench 45 layers --case convolution,deconvolution --peers torch || status=1
python bench/goals.py "$out"
exit $status
