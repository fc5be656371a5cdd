"""A captured step on the device @emulator: it does what the step does, every time the same, and what it cannot hold is
said with the line."""

import contextlib
import gc
import types
import weakref

import numpy as np
import pytest
from click.testing import CliRunner
from emulated import floats, needs_compiler

import minigan
import minigan.functions as F
from minigan import cuda_graph, optimizers, random, training
from minigan.backends import cuda
from minigan.cli import main
from minigan.cuda_graph import CaptureError
from minigan.gans import GANS, GANUpdater
from minigan.gans.nets import ARCHITECTURES
from minigan.gans.tricks import Tricks
from minigan.iterators import SerialIterator
from minigan.kernels.launch import emulation
from minigan.links.gan import persistents

pytestmark = needs_compiler
DEVICE = "@emulator"


def updater(arch, n_dis=1, device=DEVICE, gan="gan", tricks=None, **adam):
    random.seed(1)
    chosen = {name: GANS[gan].DEFAULTS.get(name) for name in ("norm_dis", "condition")}
    gen, dis = ARCHITECTURES[arch].build(z_dim=5, channels=1, size=8, width=4, n_classes=3, **chosen)
    both = {name: optimizers.Adam(**adam).setup(net) for name, net in (("gen", gen), ("dis", dis))}
    images = floats(12, 1, 8, 8)
    if gen.n_classes:
        images = [(x, np.int32(i % 3)) for i, x in enumerate(images)]
    images = SerialIterator(images, 4, shuffle=False)
    return GANUpdater(images, both, GANS[gan], n_dis=n_dis, tricks=tricks, ema_decay=0.9, device=device)


def everything(updater):
    """All that a step changes, on the CPU."""
    found = {"t": [o.t for o in updater.get_all_optimizers().values()]}
    for name, net in (("gen", updater.gen), ("dis", updater.dis), ("ema", updater.ema)):
        for path, param in net.namedparams():
            rule = param.update_rule
            state = {} if rule is None or name == "ema" else {**rule.state, "t": rule.t}
            for key, value in {"": param.array, **state}.items():
                found[f"{name} {path} {key}"] = cuda.to_cpu(value)
        found |= {f"{name} {i}": cuda.to_cpu(v) for i, (_, _, v) in enumerate(persistents(net))}
    return found


def trained(arch, graph, steps=6, **arguments):
    """Train in a trainer's way, alpha falling; give all that changed and what was reported."""
    reported = []
    with minigan.using_config("cuda_graph", graph):
        if not graph:  # noise from the device all the same
            minigan.config.cuda_graph = True
        this = updater(arch, **arguments)
        if not graph:
            this.launch_as_graph = lambda name, step, *arrays: step(*arrays)
        trainer = training.Trainer(this)
        for i in range(steps):
            random.start_iteration(3, i)
            trainer.observation = {}
            with trainer.reporter.scope(trainer.observation):
                this.update()
            reported.append({k: v for k, v in trainer.observation.items()})
            for optimizer in this.get_all_optimizers().values():
                optimizer.alpha *= 0.5
    return everything(this), [{k: float(getattr(v, "array", v)) for k, v in row.items()} for row in reported]


@pytest.mark.parametrize("arch, n_dis", [("mlp", 1), ("small", 1), ("mlp", 2)])
def test_a_captured_gan_step_is_the_step(arch, n_dis):
    """D, G, their Adams with a falling rate, the averaged G, noise and reports: bit for bit."""
    found, reports = assert_the_same(arch, n_dis=n_dis)
    assert found["t"] == [6, 6 * n_dis] and len(reports[0]) == 5
    assert len({row["dis/loss"] for row in reports}) == 6


@pytest.mark.parametrize(
    "gan, arch",
    [
        ("wgan-gp", "small"),
        *((gan, "mlp") for gan in ("wgan", "sngan", "relativistic", "cgan", "acgan")),
    ],
)
def test_steps_with_more_than_two_losses_can_be_captured(gan, arch):
    """A gradient of a gradient, clipped weights, spectral norms, a loss of G that sees real images, classes."""
    assert_the_same(arch, steps=4, gan=gan)


def test_a_penalty_that_comes_now_and_then_can_be_captured():
    _, reports = assert_the_same("mlp", steps=5, tricks=Tricks(r1=1.0, r1_every=2))
    assert [row["dis/r1"] > 0 for row in reports] == [True, False, True, False, True]


def assert_the_same(arch, **arguments):
    want, wanted_reports = trained(arch, False, **arguments)
    found, reports = trained(arch, True, **arguments)
    assert found.keys() == want.keys() and reports == wanted_reports
    for name, value in want.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    return found, reports



@pytest.mark.gpu
@pytest.mark.parametrize("arch, n_dis", [("mlp", 2), ("small", 1)])
def test_on_a_gpu(arch, n_dis):
    if not cuda.available or cuda.cupy.__version__ == "0.double":
        pytest.skip("needs CuPy and a CUDA device: its stand-in captures nothing")
    want, wanted_reports = trained(arch, False, n_dis=n_dis, device="@cupy:0")
    found, reports = trained(arch, True, n_dis=n_dis, device="@cupy:0")
    assert found.keys() == want.keys() and found["t"] == want["t"] == [6, 6 * n_dis]
    for name, value in want.items():
        # Adam's first steps are the sign of the gradient: where that is about 0, rounding decides
        share = np.mean(np.abs(np.subtract(found[name], value)) > 1e-3 * max(np.abs(value).max(), 1e-6))
        assert share < 0.01, name
    for row, wanted in zip(reports, wanted_reports):
        assert row == pytest.approx(wanted, rel=1e-2, abs=1e-2)


def test_two_replays_launch_the_same():
    """Kernels, grids, blocks and the arguments that are no temporary memory; rates change without a new capture."""
    with minigan.using_config("cuda_graph", True):
        this = updater("small")
        rows = []
        for _ in range(5):
            with emulation() as launches:
                this.update()
            rows.append([(repr(x.kernel), x.grid, x.block, len(x.args)) for x in launches])
            this.get_optimizer("gen").alpha *= 0.5
    (captured,) = this._graphs.values()
    ((_, plan),) = captured._plans.items()
    assert plan.calls == 5 and rows[3] == rows[4] == rows[2] and len(rows[4]) > 20
    kernels = " ".join(name for name, *_ in rows[4])
    assert sum(operation[0] in kernels for operation in plan.graph._recorded) >= len(rows[4])
    assert all(entry in kernels for entry in ("im2col", "bn_", "philox_normal", "adam_begin", "step_all"))


def weights(n=3):
    return minigan.get_device(DEVICE).send(floats(n, 4))


def test_a_step_of_ones_own_and_shapes_that_change():
    W = weights()
    calls = []

    def step(x, sign):
        calls.append(x.shape)
        y = F.sum(F.tanh(F.linear(x, W))) * sign
        return {"sum": y, "parts": [y.array + 1]}

    captured, send = cuda_graph.capture(step, DEVICE), minigan.get_device(DEVICE).send
    for i, n in enumerate([2, 2, 2, 5, 5, 5, 2, 5, 2]):
        x = floats(n, 4, seed=i)
        found = captured(send(x), -1)
        assert np.isclose(found["parts"][0].get() - 1, -np.tanh(x @ floats(3, 4).T).sum(), rtol=1e-4), i
    assert len(captured._plans) == 2
    assert captured(x, -1)["sum"].array.get() == found["sum"].array.get()  # NumPy's arrays are sent
    with minigan.using_config("train", False):
        captured(send(x), -1)
    captured(send(x), 1)
    assert len(captured._plans) == 4


@pytest.mark.parametrize("labels", [(0, 1, -1, 1), (-1, -1, -1, -1)])
def test_a_loss_that_counts_its_labels_stays_on_the_device(labels):
    x, t = floats(4), np.array(labels, np.int32)
    captured, send = cuda_graph.capture(F.sigmoid_cross_entropy, DEVICE), minigan.get_device(DEVICE).send
    for _ in range(4):
        found = captured(send(x), send(t))
    np.testing.assert_allclose(found.array.get(), F.sigmoid_cross_entropy(x, t).array, rtol=1e-6)


READS = {
    "float": (lambda x: float(F.sum(x).array), "float.. reads the device"),
    "bool": (lambda x: 1 if (x > 0).all() else 2, "bool.. reads the device"),
    "get": (lambda x: x.get(), "get.. reads the device"),
    "to_cpu": (lambda x: cuda.to_cpu(x), "get.. reads the device"),
    "item": (lambda x: x.sum().item(), "item.. reads the device"),
    "print": (lambda x: f"{x}", "printing reads the device"),
    "mask": (lambda x: x[x > 0], "an index of booleans reads"),
    "where": (lambda x: cuda.get_array_module(x).where(x > 0), "where.. reads the device"),
    "rows": (lambda x: x[np.array([0])], "a ndarray is sent to the device"),
    "upload": (lambda x: x + minigan.get_device(DEVICE).send(np.ones(4, "f")), "asarray.. sends a ndarray"),
    "number": (lambda x: cuda.get_array_module(x).asarray(2.0), "asarray.. sends a float"),
    "dot": (lambda x: x.dot(x.T), "dot.. is CuPy's call of cuBLAS"),
    "random": (lambda x: cuda.get_array_module(x).random.rand(3), r"cupy.random.rand\(\) calls a library"),
    "set": (lambda x: x.set(np.ones((3, 4), "f")), "set.. sends an array"),
}


@pytest.mark.parametrize("name", READS)
def test_what_cannot_be_captured_is_said_with_its_line(name):
    function, text = READS[name]
    captured = cuda_graph.capture(lambda x: function(x))
    captured(weights())  # the first call is as usual: much begins there
    with pytest.raises(CaptureError, match=text) as caught:
        captured(weights())
    message = str(caught.value)
    assert "cannot be captured: " in message and "keep the array, and read it after the step" in message
    assert "test_cuda_graph.py line " in message and f'`"{name}": (lambda x: ' in message
    assert not cuda_graph.is_capturing()
    function(weights())  # life goes on


def test_a_refused_step_leaves_the_counts_and_can_go_on():
    net = minigan.links.Linear(4, 2)
    net.to_device(DEVICE)
    optimizer = optimizers.Adam().setup(net)

    def step(x):
        loss = F.mean(net(x) ** 2)
        net.cleargrads()
        loss.backward()
        optimizer.update()
        return float(loss.array)

    captured = cuda_graph.capture(step)
    captured(weights())
    with pytest.raises(CaptureError, match="return float.loss.array"):
        captured(weights())
    step(weights())
    assert optimizer.t == net.W.update_rule.t == 3


def test_a_number_that_changes_is_found():
    numbers = iter(range(9))
    captured = cuda_graph.capture(lambda x: x * next(numbers))
    for _ in range(3):
        captured(weights())
    with pytest.raises(CaptureError, match=r"not the same each time: operation 0 was \('mul'.*'2'\); now .*'3'\)"):
        captured(weights())


def test_memory_that_moves_is_found():
    state = [weights()]

    def step(x):
        state[0] = state[0] + x

    captured = cuda_graph.capture(step)
    for _ in range(3):
        captured(weights())
    with pytest.raises(CaptureError, match="not the same each time: operation 0 was .*memory at"):
        captured(weights())


def test_a_loop_that_grows_is_found():
    lengths = iter([1, 1, 1, 2])
    captured = cuda_graph.capture(lambda x: [x + 1 for _ in range(next(lengths))])
    for _ in range(3):
        captured(weights())
    with pytest.raises(CaptureError, match="operation 1 was nothing; now .*'add'"):
        captured(weights())


def trained_classifier(graph, optimizer, steps=8, hooks=(), change=None, dict_batches=False, dropout=0.5, half=False):
    random.seed(2)
    dtype, dropout = (np.float16, 0) if half else (np.float32, dropout)

    class Net(minigan.Chain):
        def __init__(self):
            super().__init__()
            with self.init_scope():
                with minigan.using_config("dtype", dtype):
                    self.l1, self.l2 = minigan.links.Linear(4, 6), minigan.links.Linear(6, 3)

        def forward(self, x, t):
            h = F.relu(self.l1(x))
            loss = F.softmax_cross_entropy(self.l2(F.dropout(h, dropout) if dropout else h), t)
            minigan.report({"loss": loss, "one": 1.0}, self)
            return loss

    net = Net()
    optimizer = optimizer.setup(net)
    for hook in hooks:
        optimizer.add_hook(hook)
    if half:
        optimizer.use_fp32_update()
        optimizer.set_loss_scale(16)
    rows = list(zip(floats(20, 4, dtype=dtype), np.arange(20, dtype=np.int32) % 3))
    if dict_batches:
        rows = [{"t": t, "x": x} for x, t in rows]
    this = training.StandardUpdater(SerialIterator(rows, 5, shuffle=False), optimizer, device=DEVICE)
    trainer, losses = training.Trainer(this), []
    with minigan.using_config("cuda_graph", graph):
        for i in range(steps):
            trainer.observation = {}
            with trainer.reporter.scope(trainer.observation):
                this.update()
            losses.append(trainer.observation["main/loss"])
            if change:
                change(optimizer, i)
    losses = [float(getattr(loss, "array", loss)) for loss in losses]
    return losses, [p.array.get() for p in net.params()], this


HOOKS = [minigan.optimizer_hooks.WeightDecay(0.01), minigan.optimizer_hooks.GradientClipping(0.1)]
LARS = [minigan.optimizer_hooks.GradientLARS(weight_decay=0.01), minigan.optimizer_hooks.Lasso(0.01)]


@pytest.mark.parametrize("name, arguments, hooks, dict_batches",
    [("Adam", {}, HOOKS, False), ("SGD", {}, (), True), ("MomentumSGD", {}, HOOKS, False), ("AMSGrad", {}, (), False),
     ("AMSBound", {"gamma": 0.5}, (), False), ("MSVAG", {}, (), False), ("CorrectedMomentumSGD", {}, LARS, False)]
)  # fmt: skip
def test_any_updater_and_optimizer(name, arguments, hooks, dict_batches):
    make = getattr(optimizers, name)
    want, want_weights, _ = trained_classifier(False, make(**arguments), hooks=hooks, dict_batches=dict_batches)
    losses, found, this = trained_classifier(True, make(**arguments), hooks=hooks, dict_batches=dict_batches)
    assert losses == want and this.epoch == 2
    for a, b in zip(found, want_weights):
        np.testing.assert_array_equal(a, b)
    ((_, captured),) = this._graphs.items()
    assert [plan.calls for plan in captured._plans.values()] == [8]


class OwnSGDRule(optimizers.SGDRule):
    """A rule of one's own, which has no kernel: its rate is a number in the graph."""


class OwnSGD(optimizers.SGD):
    rule = OwnSGDRule


@pytest.mark.parametrize("make, half, calls", [(OwnSGD, False, 2), (optimizers.AdaGrad, False, 8), (OwnSGD, True, 2)])
def test_a_rate_that_is_part_of_the_graph_captures_anew(make, half, calls):
    def change(optimizer, i):
        if i == 5:
            optimizer.lr = 0.5

    want, want_weights, _ = trained_classifier(False, make(), change=change, half=half)
    losses, found, this = trained_classifier(True, make(), change=change, half=half)
    assert losses == want and all(np.array_equal(a, b) for a, b in zip(found, want_weights))
    ((_, captured),) = this._graphs.items()
    assert [plan.calls for plan in captured._plans.values()] == [calls]  # 2: begun again with the seventh step


def test_halves_with_a_copy_in_float32_and_rates_of_hooks_that_change():
    def change(optimizer, i):
        optimizer.alpha *= 0.9
        decay.rate, clipping.threshold = 0.01 * i, 0.2 + 0.1 * i
        if i == 6:
            optimizer.set_loss_scale(64)

    found = []
    for graph in (False, True):
        decay, clipping = minigan.optimizer_hooks.WeightDecay(0.01), minigan.optimizer_hooks.GradientClipping(0.1)
        found.append(
            trained_classifier(graph, optimizers.Adam(0.01), hooks=(decay, clipping), change=change, half=True)
        )
    (want, want_weights, _), (losses, weights, this) = found
    assert losses == want and len(set(losses)) > 6 and weights[0].dtype == np.float16
    assert all(np.array_equal(a, b) for a, b in zip(weights, want_weights))
    ((_, captured),) = this._graphs.items()
    assert [plan.calls for plan in captured._plans.values()] == [1]  # the loss scale is part of the graph


class OwnAdamRule(optimizers.AdamRule):
    pass


class OwnAdam(optimizers.Adam):
    rule = OwnAdamRule


def test_a_rule_that_counts_steps_is_refused():
    with pytest.raises(CaptureError, match="OwnAdamRule depends on how many there were.*only minigan's own rules"):
        trained_classifier(True, OwnAdam())


def test_a_moving_loss_scale_is_refused():
    def change(optimizer, i):
        optimizer.loss_scaling()

    with pytest.raises(CaptureError, match="a moving loss scale depends on .* fix it: loss_scaling.scale=..."):
        trained_classifier(True, optimizers.SGD(), change=change)


def test_a_frozen_parameter_captures_anew():
    def change(optimizer, i):
        optimizer.target.l1.W.update_rule.enabled = i < 5

    want, want_weights, _ = trained_classifier(False, optimizers.Adam(), change=change)
    losses, found, this = trained_classifier(True, optimizers.Adam(), change=change)
    assert losses == want and all(np.array_equal(a, b) for a, b in zip(found, want_weights))


def test_on_the_cpu_and_inside_another():
    with pytest.raises(TypeError, match="an argument is a list; wanted arrays and numbers one by one"):
        cuda_graph.capture(lambda x: x, DEVICE)([weights()])
    with pytest.raises(CaptureError, match="the step is on the CPU, and a graph needs a GPU"):
        cuda_graph.capture(lambda x: x)(np.ones(3))
    inner = cuda_graph.capture(lambda x: x + 1)
    outer = cuda_graph.capture(lambda x: inner(x))
    with pytest.raises(CaptureError, match="calls another one"):
        for _ in range(3):
            outer(weights())


def command(*arguments):
    return CliRunner().invoke(main, [*map(str, arguments)], prog_name="minigan")


def test_train_with_graphs_by_the_command_line_and_go_on(tmp_path):
    """A run that is stopped and goes on ends where one goes that was not, bit for bit, noise from the GPU included."""
    options = "train gan --graph --device @emulator --quiet --width 4 --batch-size 4 --sample-every 2".split()
    for name, steps in (("whole", 6), ("parted", 3)):
        result = command(*options, "--steps", steps, "--snapshot-every", 3, "--out", tmp_path / name)
        assert result.exit_code == 0, result.output
    result = command("train", "--resume", tmp_path / "parted", "--steps", 6, "--quiet")
    assert result.exit_code == 0, result.output
    found, want = (np.load(tmp_path / name / "snapshot_iter_6") for name in ("parted", "whole"))
    assert want.files == found.files
    for name in want.files:
        if "elapsed" not in name and "extensions" not in name:
            np.testing.assert_array_equal(found[name], want[name], err_msg=name)
    assert not minigan.config.cuda_graph
    assert command(*options, "--dry-run").output.count("4 iterations went well") == 1


@pytest.mark.parametrize(
    "arguments, text",
    [((), "--graph is for a GPU; pass --device cuda:0"), (("--device", DEVICE, "--debug"), "--debug looks at every")],
)
def test_graphs_where_there_can_be_none(arguments, text):
    result = command("train", "gan", "--graph", *arguments)
    assert result.exit_code == 2 and text in result.output


# The graph of CuPy itself, as far as one can tell without a GPU: what is asked of CuPy, in which order


class FakeGPU(minigan.backend.Device):
    """A device whose arrays are NumPy's, with as much of CuPy as a capture asks for; it writes down what is asked."""

    name = "@fake"

    def __init__(self):
        self.asked, self.current, self.broken = [], FakeStream(self, "current"), False
        self.xp = types.SimpleNamespace(
            __name__="cupy", empty=np.empty,
            get_default_memory_pool=lambda: types.SimpleNamespace(free_all_blocks=list),
            cuda=types.SimpleNamespace(
                Device=lambda: types.SimpleNamespace(id=0, synchronize=lambda: self.asked.append("synchronize")),
                Stream=lambda non_blocking: FakeStream(self, f"non_blocking={non_blocking}"),
                MemoryPool=self._pool, MemoryPointer=lambda memory, offset: memory, Memory=self._memory,
                runtime=types.SimpleNamespace(CUDARuntimeError=ZeroDivisionError),
                get_current_stream=lambda: self.current,
                using_allocator=lambda malloc: contextlib.nullcontext(self.asked.append(f"memory {malloc}")),
            ),
        )  # fmt: skip

    def _send(self, array):
        return array

    def _pool(self, allocate):
        self.allocate = allocate
        return types.SimpleNamespace(malloc="private", free_all_blocks=lambda: self.asked.append("free"))

    def _memory(self, size):
        return 100 // (size < 100) - size  # as CUDA's error, that of a division


class FakeStream:
    def __init__(self, gpu, name):
        self.gpu, self.name = gpu, name

    def record(self):
        return self.name

    def wait_event(self, event):
        self.gpu.asked.append(f"{self.name} waits for {event}")

    def begin_capture(self):
        assert self.gpu.current is self
        self.gpu.asked.append("begin")

    def end_capture(self):
        self.gpu.asked.append("end")
        if self.gpu.broken:
            raise RuntimeError("cudaErrorStreamCaptureInvalidated")
        return types.SimpleNamespace(launch=lambda: self.gpu.asked.append(f"launch on {self.gpu.current.name}"))

    def __enter__(self):
        self.before, self.gpu.current = self.gpu.current, self

    def __exit__(self, *error):
        self.gpu.current = self.before


class FakeHandle:
    """That of cuBLAS, whose workspace must live as long as the graph."""


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.setattr(cuda_graph.gemm, "unavailable_reason", lambda: "")
    monkeypatch.setattr(cuda_graph.gemm, "handle", lambda xp: FakeHandle())
    monkeypatch.setattr(cuda_graph._thread, "streams", {})
    return FakeGPU()


ASIDE = ["non_blocking=True waits for current", "memory private"]
BACK = ["current waits for non_blocking=True"]


def test_what_is_asked_of_cupy(gpu):
    times, shares, seen = [0], [], []

    def step(x, n):
        gpu.asked.append("step")
        assert gc.isenabled() == (len(gpu.asked) < 12)
        cuda_graph.host(lambda: times.__setitem__(0, times[0] + 1))
        shares.append(cuda_graph.number(lambda: times[0] / 2, np.float32))
        seen.append(x)
        return x + n

    captured = cuda_graph.capture(step, gpu)
    for i in range(5):
        captured(np.full(3, i, np.float32), 7)
    eager = [*ASIDE, "step", *BACK]
    assert gpu.asked == [*eager * 2, *ASIDE, "begin", "step", "end", *BACK, *["launch on current"] * 3]
    assert gc.isenabled() and times == [5]
    assert shares[:2] == [0.5, 1.0] and shares[2].dtype == np.float32 and shares[2] == 2.5  # filled before each launch
    assert all(x is seen[0] for x in seen) and seen[0].tolist() == [4, 4, 4]  # the batch lies where the graph reads it


def test_a_capture_that_fails_on_a_gpu(gpu):
    times, gpu.broken = [0], True

    def step(x):
        cuda_graph.host(lambda: times.__setitem__(0, times[0] + 1))
        if "begin" in gpu.asked:
            raise NotImplementedError("calling cuRAND API during stream capture is currently unsupported")
        return x

    captured = cuda_graph.capture(step, gpu)
    captured(np.zeros(2)), captured(np.zeros(2))
    with pytest.raises(CaptureError, match=r"line \d+, `raise NotImplementedError.*: calling cuRAND API"):
        captured(np.zeros(2))
    assert gpu.asked[-2:] == ["end", *BACK] and gpu.current.name == "current" and gc.isenabled()
    assert times == [2] and not cuda_graph.is_capturing() and not captured._plans
    gpu.asked.clear()
    captured(np.zeros(2))  # begins anew


def test_memory_that_ends_in_a_capture_ends_the_capture(gpu):
    def step(x, size):
        x[:] = gpu.allocate(size)
        return x

    captured = cuda_graph.capture(step, gpu)
    assert captured(np.zeros(1), 60) == 40
    with pytest.raises(ZeroDivisionError):  # a pool then gives back what nobody uses, and asks again
        captured(np.zeros(1), 100)
    captured = cuda_graph.CapturedStep(step, gpu, warm_up=0)
    with pytest.raises(MemoryError, match="a captured step asks for 100 bytes more: integer division"):
        captured(np.zeros(1), 100)
    assert not captured._plans and captured(np.zeros(1), 60) == 40


def test_only_so_many_graphs_are_kept_and_the_memory_of_others_is_given_back(gpu, monkeypatch):
    monkeypatch.setattr(cuda_graph, "MOST_GRAPHS", 2)
    captured = cuda_graph.capture(lambda x: x + 1, gpu)

    def run(size):
        for _ in range(4):
            captured(np.zeros(size))
        return weakref.ref(captured._plans[[*captured._plans][-1]].graph)

    gc.disable()  # nothing is left for it
    try:
        first, second = run(1), run(2)
        handle = weakref.ref(first()._cublas)
        run(1), gpu.asked.clear(), run(3)
        assert gpu.asked[:2] == ["synchronize", "free"] and len(captured._plans) == 2
        assert first() and handle() and second() is None  # that of size 1 was used after that of size 2
        run(2)
        assert first() is None is handle()
        captured.step = lambda x: cuda_graph.host(lambda: None, fits=lambda: x.size > 9) or x  # captured anew each time
        third = run(4)
        captured(np.zeros(4)), captured(np.zeros(4)), captured(np.zeros(4))
        assert third() is None
    finally:
        gc.enable()


def test_other_errors_of_a_step_stay_what_they_are(gpu):
    with pytest.raises(RuntimeError, match="^mine$"):
        cuda_graph.capture(lambda x: (_ for _ in ()).throw(RuntimeError("mine")), gpu)(np.zeros(2))


def test_an_error_at_a_launch_is_no_refusal(gpu):
    captured = cuda_graph.capture(lambda x: x, gpu)
    for _ in range(4):
        captured(np.zeros(2))
    (plan,) = captured._plans.values()
    plan.graph._graph.launch = lambda: (_ for _ in ()).throw(RuntimeError("cudaErrorIllegalAddress"))
    with pytest.raises(RuntimeError, match="^cudaErrorIllegalAddress$"):
        captured(np.zeros(2))


def test_no_cublas_no_graph(gpu, monkeypatch):
    monkeypatch.setattr(cuda_graph.gemm, "unavailable_reason", lambda: "MINIGAN_CUBLAS=0 is set in the environment")
    with pytest.raises(CaptureError, match="matrix products cannot be captured, and MINIGAN_CUBLAS=0"):
        cuda_graph.capture(lambda x: x, gpu)(np.zeros(2))
