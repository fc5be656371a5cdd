"""Whole training steps on the device @emulator, through every GPU path and kernel, give what they give on the CPU."""

import importlib

import numpy as np
import pytest
from click.testing import CliRunner
from emulated import floats, needs_compiler

import minigan
import minigan.functions as F
from minigan.cli import main
from minigan.gans.nets import ARCHITECTURES
from minigan.kernels.launch import emulation, turned_off
from minigan.links.gan import persistents

pytestmark = [
    needs_compiler, pytest.mark.usefixtures("plain_charts"), pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]  # fmt: skip
Z, IMAGES = floats(3, 5, seed=1), floats(3, 1, 16, 16, seed=2)


def losses_and_gradients(arch, device):
    """Both losses of one step, the images, and all gradients and running statistics of both nets."""
    np.random.seed(0)
    gen, dis = ARCHITECTURES[arch].build(z_dim=5, channels=1, size=16, width=4)
    gen.to_device(device), dis.to_device(device)
    z, x = (gen.device.send(a) for a in (Z, IMAGES))
    fake = gen(z)
    loss_gen = F.mean(F.softplus(-dis(fake)))
    loss_gen.backward()
    loss_dis = F.mean(F.softplus(-dis(x)))
    loss_dis.backward()
    found = {"gen": loss_gen.array, "dis": loss_dis.array, "fake": fake.array}
    for name, net in (("gen", gen), ("dis", dis)):
        found |= {name + path: param.grad for path, param in net.namedparams()}
        found |= {f"{name} {path} {i}": v for i, (_, path, v) in enumerate(persistents(net)) if path != "N"}
    return {name: minigan.backends.cuda.to_cpu(value) for name, value in found.items() if value is not None}


@pytest.mark.parametrize("arch", ["mlp", "small"])
def test_losses_and_gradients(arch):
    want = losses_and_gradients(arch, "@numpy")
    with emulation() as launches:
        found = losses_and_gradients(arch, "@emulator")
    entries = {launch.kernel.entry for launch in launches}
    assert "bias_activation_grad" in entries and ({"im2col", "col2im", "bn_backward"} <= entries) == (arch == "small")
    assert found.keys() == want.keys() and len(found) > 10
    for name, value in want.items():
        np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-5 * max(abs(value).max(), 1e-3), err_msg=name)


def test_special_functions_of_scipy():
    x = minigan.Variable(minigan.get_device("@emulator").send(Z))
    for function in (F.erf, F.log_ndtr, F.lgamma):
        with minigan.using_config("enable_backprop", False):
            np.testing.assert_array_equal(function(x).array.get(), function(Z).array)


def trained(tmp_path, gan, device):
    """Two steps on small images, few of which Vitals and the last pictures have to look at."""
    np.savez(tmp_path / "few.npz", images=np.random.RandomState(0).randint(0, 256, (12, 16, 16)).astype(np.uint8))
    out = tmp_path / device
    arguments = f"train {gan} --device {device} --quiet --steps 2 --width 4 --batch-size 4".split()
    arguments += ["--data", f"npz:{tmp_path / 'few.npz'}"]
    result = CliRunner().invoke(main, [*arguments, "--out", str(out)], prog_name="minigan")
    assert result.exit_code == 0, result.output
    with np.load(out / "snapshot_iter_2") as file:
        return {name: file[name] for name in file.files if "optimizer" in name and file[name].dtype.kind == "f"}


@pytest.mark.parametrize("gan", ["gan", "dcgan"])
def test_training_by_the_command_line(gan, tmp_path):
    """Two steps from the same seed: weights, Adam's means and running statistics."""
    want = trained(tmp_path, gan, "@numpy")
    with emulation() as launches:
        found = trained(tmp_path, gan, "@emulator")
    entries = {launch.kernel.entry for launch in launches}
    assert {"step_all", "adam_begin"} <= entries and ("bn_backward" in entries) == (gan == "dcgan")
    assert found.keys() == want.keys() and len(found) > 20
    for name, value in want.items():
        # Adam's first steps are the sign of the gradient: where that is about 0, rounding decides
        share = np.mean(abs(found[name] - value) > 1e-3 * max(abs(value).max(), 1e-6))
        assert share < 0.01, name


def test_the_same_with_plain_array_formulas(tmp_path):
    with emulation() as launches, turned_off():
        trained(tmp_path, "dcgan", "@emulator")
    assert not launches


def test_out_of_memory_is_a_sentence_with_a_cure(tmp_path, monkeypatch):
    def update(self):
        raise MemoryError("Out of memory allocating 1,024 bytes (allocated so far: 512 bytes).")  # as CuPy says it

    monkeypatch.setattr(minigan.gans.GANUpdater, "update_core", update)
    module = importlib.import_module("minigan.cli.course")
    monkeypatch.setattr(module, "memory_left", lambda: "0.1 of the GPU's 8.0 GB are free")
    arguments = ["train", "gan", "--quiet", "--steps", "2", "--batch-size", "64", "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(main, arguments, prog_name="minigan")
    assert result.exit_code == 1 and "Traceback" not in result.output
    assert "iteration 1: Out of memory allocating 1,024 bytes" in result.output
    assert "0.1 of the GPU's 8.0 GB are free; try --batch-size 32" in " ".join(result.output.split())


def test_results_lie_in_memory_as_those_of_cupy():
    """Ufuncs, operators and sums give order C whatever the layout of x; casts, and memory made like x, keep it."""
    xp = minigan.get_device("@emulator").xp
    x = xp.asarray(floats(3, 4, 5)).swapaxes(0, 2)
    made = x + 1, 2 * x, x * x, -x, xp.tanh(x), xp.where(x > 0, x, 0), xp.concatenate([x, x]), x.sum(0), x.clip(0, 1)
    for y in made:
        assert y.flags.c_contiguous
    for y in (x.astype("d"), xp.empty_like(x), xp.exp(x, out=xp.zeros_like(x))):
        assert np.argsort(y.strides).tolist() == [0, 1, 2]
