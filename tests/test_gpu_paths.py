"""Links, optimizers and a training on a GPU give what they give on the CPU.

Where there is no GPU, `test_gpu_tests_pass_with_strict_stand_in_for_cupy` runs all tests marked `gpu` with
`doubles/cupy.py` in place of CuPy: the emulator's arrays, which refuse to mix with NumPy's. That finds the mistakes
that Python code makes on a GPU; it says nothing about kernels or speed.
"""

import inspect
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from training.mlp import make_trainer

import minigan
import minigan.functions as F
import minigan.links as L
from minigan.backends import cuda
from minigan.gans.nets import MinibatchDiscrimination, SelfAttention
from minigan.serializers import load_npz, save_npz
from minigan.training.updaters import parallel_updater

TESTS = Path(__file__).parent
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def floats(*shape):
    return np.random.RandomState(0).standard_normal(shape).astype(np.float32)


VECTORS, SERIES, IMAGES, CUBES = floats(3, 4), floats(2, 4, 6), floats(2, 4, 6, 6), floats(2, 4, 4, 4, 4)
IDS = np.array([0, 2, 1], np.int32)
LINKS = {
    "Bias": (lambda: L.Bias(1, (4,)), VECTORS),
    "Bilinear": (lambda: L.Bilinear(4, 4, 2), VECTORS, VECTORS),
    "Convolution1D": (lambda: L.Convolution1D(4, 2, 3), SERIES),
    "Convolution2D": (lambda: L.Convolution2D(4, 3, 3, 1, 1), IMAGES),
    "Convolution3D": (lambda: L.Convolution3D(4, 2, 3), CUBES),
    "ConvolutionND": (lambda: L.ConvolutionND(3, 4, 2, 3), CUBES),
    "Deconvolution1D": (lambda: L.Deconvolution1D(4, 2, 3), SERIES),
    "Deconvolution2D": (lambda: L.Deconvolution2D(None, 3, 4, 2, 1), IMAGES),
    "Deconvolution3D": (lambda: L.Deconvolution3D(4, 2, 3), CUBES),
    "DeconvolutionND": (lambda: L.DeconvolutionND(1, 4, 2, 3), SERIES),
    "DeformableConvolution2D": (lambda: L.DeformableConvolution2D(4, 2, 3, pad=1), IMAGES),
    "DepthwiseConvolution2D": (lambda: L.DepthwiseConvolution2D(4, 2, 3), IMAGES),
    "DilatedConvolution2D": (lambda: L.DilatedConvolution2D(4, 2, 3, dilate=2), IMAGES),
    "EmbedID": (lambda: L.EmbedID(4, 3), IDS),
    "Highway": (lambda: L.Highway(4), VECTORS),
    "Inception": (lambda: L.Inception(4, 2, 2, 2, 2, 2, 2), IMAGES),
    "InceptionBN": (lambda: L.InceptionBN(4, 2, 2, 2, 2, 2, "avg", 2), IMAGES),
    "Linear": (lambda: L.Linear(None, 3), IMAGES),
    "LocalConvolution2D": (lambda: L.LocalConvolution2D(4, 2, (6, 6), 3), IMAGES),
    "MLPConvolution2D": (lambda: L.MLPConvolution2D(4, (3, 2), 3), IMAGES),
    "Parameter": (lambda: L.Parameter(VECTORS.copy()),),
    "Scale": (lambda: L.Scale(1, (4,)), VECTORS),
    "Maxout": (lambda: L.Maxout(4, 3, 2), VECTORS),
    "PReLU": (lambda: L.PReLU((4,)), VECTORS),
    "SimplifiedDropconnect": (lambda: L.SimplifiedDropconnect(4, 3), VECTORS),
    "Swish": (lambda: L.Swish((4,)), VECTORS),
    "Classifier": (lambda: L.Classifier(L.Linear(4, 3)), VECTORS, IDS),
    "StatefulGRU": (lambda: L.StatefulGRU(4, 3), VECTORS),
    "StatelessGRU": (lambda: L.StatelessGRU(4, 3), floats(3, 3), VECTORS),
    "BatchNormalization": (lambda: L.BatchNormalization(4), IMAGES),
    "BatchRenormalization": (lambda: L.BatchRenormalization(4), IMAGES),
    "DecorrelatedBatchNormalization": (lambda: L.DecorrelatedBatchNormalization(4, groups=2), IMAGES),
    "GroupNormalization": (lambda: L.GroupNormalization(2), IMAGES),
    "LayerNormalization": (lambda: L.LayerNormalization(4), VECTORS),
    "InstanceNormalization": (lambda: L.InstanceNormalization(4), IMAGES),
    "ConditionalBatchNormalization": (lambda: L.ConditionalBatchNormalization(4, 3), IMAGES, IDS[:2]),
    "SNConvolution2D": (lambda: L.SNConvolution2D(4, 3, 3), IMAGES),
    "SNDeconvolution2D": (lambda: L.SNDeconvolution2D(4, 3, 4, 2, 1), IMAGES),
    "SNLinear": (lambda: L.SNLinear(None, 3), IMAGES),
    "SNEmbedID": (lambda: L.SNEmbedID(4, 3), IDS),
}
OF_NETS = {
    "SelfAttention": (lambda: SelfAttention(4), IMAGES),
    "MinibatchDiscrimination": (lambda: MinibatchDiscrimination(L.Linear(144, 1)), IMAGES),
}
NO_LAYERS = {"ExponentialMovingAverage", "GRU", "VGG16Layers", "VGG19Layers"}  # a copy, an old name, 140 M weights


@pytest.fixture
def gpu():
    if not cuda.available:
        pytest.skip("needs CuPy and a CUDA device, and there is none here")


def test_every_link_is_in_the_table():
    links = {n for n in L.__all__ if inspect.isclass(getattr(L, n)) and issubclass(getattr(L, n), minigan.Link)}
    assert links - NO_LAYERS == set(LINKS)


def outputs_and_gradients(link, inputs):
    y = link(*inputs)
    link.cleargrads()
    F.sum(y * y).backward()
    return [y.array] + [param.grad for _, param in sorted(link.namedparams()) if param.grad is not None]


@pytest.mark.gpu
@pytest.mark.parametrize("name", LINKS | OF_NETS)
def test_link(name, gpu):
    make, *inputs = (LINKS | OF_NETS)[name]
    np.random.seed(0)
    expected = outputs_and_gradients(make(), inputs)
    np.random.seed(0)
    link = make().to_gpu()
    if name == "SimplifiedDropconnect":
        cuda.cupy.random.seed(0)  # another mask: what counts is that it runs
    found = outputs_and_gradients(link, [cuda.to_gpu(x) for x in inputs])
    assert all(cuda.is_gpu_array(x) for x in found) and len(found) == len(expected)
    if name != "SimplifiedDropconnect":
        for x, want in zip(found, expected):
            np.testing.assert_allclose(cuda.to_cpu(x), want, rtol=1e-4, atol=1e-4)
    file = io.BytesIO()
    save_npz(file, link)
    file.seek(0)
    load_npz(file, link.copy("copy"))
    assert all(param.xp is np for param in link.copy("share").to_cpu().params())


def steps(name, device):
    np.random.seed(0)
    link = L.Linear(4, 3).to_device(device)
    optimizer = getattr(minigan.optimizers, name)().setup(link)
    for hook in (
        minigan.optimizer_hooks.WeightDecay(1e-2), minigan.optimizer_hooks.Lasso(1e-2),
        minigan.optimizer_hooks.GradientHardClipping(-1, 1), minigan.optimizer_hooks.GradientClipping(1.0),
        minigan.optimizer_hooks.GradientLARS(),
    ):  # fmt: skip
        optimizer.add_hook(hook)
    for _ in range(3):
        link.cleargrads()
        F.sum(link(link.device.send(VECTORS)) ** 2).backward()
        optimizer.update()
    file = io.BytesIO()
    save_npz(file, optimizer)
    file.seek(0)
    load_npz(file, optimizer)
    return cuda.to_cpu(link.W.array)


RULES = [name for name, rule in vars(minigan.optimizers).items()
         if inspect.isclass(rule) and issubclass(rule, minigan.Optimizer) and rule.__module__ == "minigan.optimizers"
         and name[0] != "_"]  # fmt: skip


@pytest.mark.gpu
@pytest.mark.parametrize("name", RULES)
def test_optimizer(name, gpu):
    np.testing.assert_allclose(steps(name, 0), steps(name, -1), rtol=1e-4, atol=1e-5)


@pytest.mark.gpu
def test_training_with_extensions(gpu, tmp_path):
    E = minigan.training.extensions
    trainer = make_trainer(minigan, tmp_path, stop=(6, "iteration"))
    trainer.updater.device = trainer.updater.input_device = minigan.get_device(0)
    model = trainer.updater.get_optimizer("main").target.to_gpu()
    trainer.get_extension("validation").device = minigan.get_device(0)
    for extension in (
        E.ParameterStatistics(model.l1, trigger=(2, "iteration")), E.FailOnNonNumber(), E.DumpGraph("main/loss"),
        E.MicroAverage("main/loss", "main/accuracy", "ratio", trigger=(2, "iteration")),
    ):  # fmt: skip
        trainer.extend(extension)
    trainer.run()
    log = trainer.get_extension("LogReport").log
    assert len(log) == 3 and all(np.isfinite(entry["main/loss"]) for entry in log)
    load_npz(tmp_path / "snapshot_iter_5", make_trainer(minigan, tmp_path))


@pytest.mark.gpu
@pytest.mark.parametrize("what", ["grads", "params"])
def test_gather_and_scatter(gpu, what):
    one, other = (minigan.Sequential(L.Linear(3, 2), L.Linear(2, 1)).to_gpu() for _ in range(2))
    for link in (one, other):
        for number, param in enumerate(link.params()):
            param.grad = link.xp.full_like(param.array, number)
    flat = getattr(parallel_updater, f"gather_{what}")(one)
    assert parallel_updater.size_num_grads(one) == (flat.size, 4) and flat.shape == (11,)
    getattr(parallel_updater, f"scatter_{what}")(other, flat + 1)
    for a, b in zip(one.params(), other.params(), strict=True):
        a, b = (getattr(param, "grad" if what == "grads" else "data") for param in (a, b))
        assert cuda.is_gpu_array(b)
        np.testing.assert_array_equal(cuda.to_cpu(a) + 1, cuda.to_cpu(b))


def test_gpu_tests_pass_with_strict_stand_in_for_cupy(request):
    if cuda.available:
        pytest.skip("there is CuPy here: the tests marked gpu run with it")
    environment = {  # without our kernels, which tests/kernels runs in the emulator
        **os.environ, "PYTHONPATH": str(TESTS / "doubles"), "OPENBLAS_NUM_THREADS": "1", "MINIGAN_KERNELS": "0",
    }  # fmt: skip
    files = [path for path in TESTS.rglob("test_*.py") if re.search(r"\b(gpu|xp)\b", path.read_text())]
    assert {item.path for item in request.session.items if item.get_closest_marker("gpu")} <= {*files}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-m", "gpu", "-q", "-p", "no:cacheprovider", *map(str, files)],
        cwd=TESTS.parent, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "skipped" not in done.stdout
