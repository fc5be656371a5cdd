import copy
import pickle

import numpy as np
import pytest

from minigan import initializers
from minigan.core import Parameter
from minigan.link import Chain, ChainList, Link, Sequential
from minigan.serializers.npz import DictionarySerializer, NpzDeserializer


class Affine(Link):
    """y = x W + b on arrays; W takes its first length from the first x."""

    def __init__(self, n_in, n_out):
        super().__init__()
        self.n_in, self.n_out = n_in, n_out
        with self.init_scope():
            self.W = Parameter(initializers.Normal(), None if n_in is None else (n_in, n_out))
            self.b = Parameter(0, (n_out,))
        self.add_persistent("mean", np.zeros(n_out))
        self.add_persistent("count", 0)

    @property
    def printable_specs(self):
        return [("n_in", self.n_in), ("n_out", self.n_out)]

    def forward(self, x):
        if not self.W.is_initialized:
            self.W.initialize((x.shape[1], self.n_out))
        return x @ self.W.array + self.b.array


class Net(Chain):
    def __init__(self):
        super().__init__()
        with self.init_scope():
            self.z = Affine(3, 4)
            self.a = Affine(None, 2)
            self.p = Parameter(0, (2,))
            self.q = Parameter(1)
        self.outside = Affine(2, 2)

    def forward(self, x):
        return self.a(self.z(x))


def double(x):
    return x + x


def paths(link):
    return [path for path, _ in link.namedparams()]


def state(link):
    target = DictionarySerializer()
    target.save(link)
    return target.target


# Registration


def test_init_scope_registers_and_order_is_own_parameters_then_children_by_name():
    # chainer: a Chain with links z, a and parameters p, q
    net = Net()
    assert paths(net) == ["/p", "/q", "/a/W", "/a/b", "/z/W", "/z/b"]
    assert [p.name for p in net.params()] == ["p", "q", "W", "b", "W", "b"]
    assert [p.name for p in net.params(include_uninit=False)] == ["p", "b", "W", "b"]
    assert [path for path, _ in net.namedlinks()] == ["/", "/a", "/z"]
    assert [link.name for link in net.links(skipself=True)] == ["a", "z"]
    assert list(net.children()) == [net.a, net.z]
    assert net["a"] is net.a
    assert not net.within_init_scope
    with pytest.raises(AttributeError, match="no child 'p'"):
        net["p"]


def test_nested_paths_and_list_numbers_in_order():
    nested = Chain(a=ChainList(Affine(1, 1), Chain(b=Affine(1, 1))))
    assert paths(nested) == ["/a/0/W", "/a/0/b", "/a/1/b/W", "/a/1/b/b"]
    assert [path for path, _ in nested.namedlinks()] == ["/", "/a", "/a/0", "/a/1", "/a/1/b"]
    assert [path for path, _ in ChainList(*(Link(W=1) for _ in range(11))).namedparams()][-2:] == ["/9/W", "/10/W"]


def test_scope_closes_after_an_error_and_nests():
    link = Link()
    with pytest.raises(KeyError):
        with link.init_scope():
            with link.init_scope():
                pass
            assert link.within_init_scope
            raise KeyError
    link.W = Parameter(0, (1,))
    assert paths(link) == []


def test_keyword_forms():
    link = Link(W=(2, 3), b=((3,), np.float64), n=5, lazy=None)
    shapes = {name: (p.shape, p.dtype) for name, p in link.namedparams(include_uninit=False)}
    assert shapes == {"/W": ((2, 3), np.float32), "/b": ((3,), np.float64), "/n": ((5,), np.float32)}
    assert np.isnan(link.W.array).all() and not link.lazy.is_initialized
    assert paths(Chain(b=Link(W=1), a=Link(W=1))) == ["/a/W", "/b/W"]


def test_add_param_and_persistent():
    link = Link()
    link.add_param("W", (2,), np.float64, initializer=3)
    link.add_param("U", (2,), np.float64, initializer="ones")
    link.add_param("lazy")
    link.add_persistent("mean", np.ones(2))
    link.count = 7
    link.register_persistent("count")
    assert link.W.dtype == np.float64 and link.W.array.tolist() == [3, 3] and link.W.name == "W"
    assert link.U.dtype == np.float64 and link.U.array.tolist() == [1, 1]
    assert {k: v.tolist() for k, v in state(link).items() if k not in ("U", "lazy")} == {
        "W": [3, 3],
        "mean": [1, 1],
        "count": 7,
    }


@pytest.mark.parametrize(
    "register",
    [
        lambda net: net.add_link("z", Link()),
        lambda net: net.add_param("z"),
        lambda net: net.add_persistent("p", 1),
        lambda net: setattr(net, "z", Link()),
    ],
)
def test_a_name_is_registered_once(register):
    net = Net()
    with pytest.raises(AttributeError, match="exists"), net.init_scope():
        register(net)


def test_wrong_registrations_are_refused():
    with pytest.raises(AttributeError, match="'nothing'"):
        Link().register_persistent("nothing")
    with pytest.raises(TypeError, match="not a Link"):
        Chain().add_link("a", 3)
    with pytest.raises(TypeError, match="not a Link"):
        ChainList(double)

    class Forgetful(Chain):
        def __init__(self):
            with self.init_scope():
                pass

    with pytest.raises(RuntimeError, match=r"super\(\).__init__\(\)"):
        Forgetful()


def test_assignment_and_deletion_keep_the_registry_true():
    net = Net()
    net.p = Parameter(0, (7,))
    assert net.p.name == "p" and dict(net.namedparams())["/p"].shape == (7,)
    net.z = Affine(5, 6)
    assert net.z.name == "z" and dict(net.namedparams())["/z/W"].shape == (5, 6)
    net.q = None
    net.a = None
    assert paths(net) == ["/p", "/z/W", "/z/b"]
    net.q, net.a = Parameter(0, (1,)), Affine(1, 1)
    assert paths(net) == ["/p", "/q", "/a/W", "/a/b", "/z/W", "/z/b"] and net.copy().q is not net.q
    del net.q, net.a
    del net.p, net.z, net.outside
    assert paths(net) == [] and list(net.children()) == []
    with pytest.raises(AttributeError):
        del net.nothing
    link = Affine(1, 1)
    del link.mean
    assert set(state(link)) == {"W", "b", "count"}


def test_call_goes_to_forward_or_is_overridden():
    class Old(Link):
        def __call__(self, x):
            return x + 1

    assert Old()(1) == 2
    assert Net()(np.ones((5, 3))).shape == (5, 2)
    with pytest.raises(AttributeError, match="neither forward nor __call__"):
        Link()(1)


# Gradients, updates, counts, devices


def test_gradients():
    link, other = Affine(2, 3), Affine(2, 3)
    other.W.grad = np.ones((2, 3), np.float32)
    link.addgrads(other)
    link.addgrads(other)
    assert (link.W.grad == 2).all() and link.b.grad is None and (other.W.grad == 1).all()
    with pytest.warns(DeprecationWarning, match="zerograd"):
        link.zerograds()
    assert (link.W.grad == 0).all() and (link.b.grad == 0).all()
    link.cleargrads()
    assert link.W.grad is None
    with pytest.raises(KeyError, match="addgrads"):
        link.addgrads(Link(W=(2, 3)))


def test_updates_are_switched_for_the_whole_tree():
    class Rule:
        enabled = True

    net = Net()
    net.disable_update()
    assert not net.update_enabled
    for param in net.params():
        param.update_rule = Rule()
    assert net.update_enabled
    net.a.disable_update()
    assert net.update_enabled and not net.a.update_enabled
    net.disable_update()
    assert not net.update_enabled
    net.enable_update()
    assert net.a.update_enabled


def test_count_params_warns_of_what_it_cannot_count():
    assert Affine(3, 4).count_params() == 16
    with pytest.warns(UserWarning, match="has no shape yet") as warned:
        assert Net().count_params() == 2 + 2 + 16
    assert [str(w.message).split()[1] for w in warned] == ["/q", "/a/W"]


def test_cpu_device():
    net = Net()
    assert net.to_cpu() is net and net.to_device(-1) is net
    assert net.xp is np and net._device_id is None and net.device == -1


@pytest.mark.gpu
def test_gpu_round_trip():
    cupy = pytest.importorskip("cupy")
    net = Net()
    before = state(net)
    assert net.to_gpu() is net
    assert net.xp is cupy and net.a._device_id == 0
    assert isinstance(net.z.W.array, cupy.ndarray) and isinstance(net.z.mean, cupy.ndarray)
    net(cupy.ones((5, 3), np.float32))
    assert isinstance(net.a.W.array, cupy.ndarray)
    net.to_cpu()
    for key, value in state(net).items():
        if key != "a/W":
            np.testing.assert_array_equal(value, before[key])


# Copies


def test_share_copies_the_tree_but_not_the_arrays():
    net = Net()
    net.z.W.grad = np.ones((3, 4), np.float32)
    other = net.copy()
    assert other.z is not net.z and other.z.W is not net.z.W
    assert other.z.W.array is net.z.W.array and other.z.mean is net.z.mean
    assert other.z.W.grad is None and net.z.W.grad is not None
    assert other.name is None and other.z.name == "z" and paths(other) == paths(net)
    with other.init_scope():
        other.new = Parameter(0, (1,))
    assert "/new" not in paths(net)


def test_copy_and_init_share_nothing():
    net = Net()
    net.z.W.grad = np.ones((3, 4), np.float32)
    for other in (net.copy("copy"), copy.deepcopy(net)):
        np.testing.assert_array_equal(other.z.W.array, net.z.W.array)
        np.testing.assert_array_equal(other.z.W.grad, net.z.W.grad)
        assert not np.shares_memory(other.z.W.array, net.z.W.array) and other.z.mean is not net.z.mean
    fresh = net.copy("init")
    assert fresh.z.W.shape == (3, 4) and not np.array_equal(fresh.z.W.array, net.z.W.array)
    assert fresh.z.W.grad is None and not fresh.a.W.is_initialized
    with pytest.raises(ValueError, match="'all'"):
        net.copy("all")


def test_copies_drawn_anew_take_as_many_random_numbers_as_in_chainer():
    # Chainer 7.8.1, PYTHONHASHSEED=1: a Chain draws all parameters of its tree and then each child's once more.
    sizes = []

    class Noted(initializers.Initializer):
        def __call__(self, array):
            sizes.append(len(array))
            array[...] = len(sizes)

    class Pair(Chain):
        def __init__(self):
            super().__init__()
            with self.init_scope():
                self.a, self.b, self.w = Link(W=(2,)), Link(W=(3,)), Parameter(Noted(), (5,))
            for link in (self.a, self.b):
                link.W.initializer = Noted()

    net = Pair()
    for link, wanted in (
        (net, [5, 2, 3, 2, 3]),
        (ChainList(net), [5, 2, 3, 2, 3]),
        (Sequential(net, net.a), [5, 2, 3, 2, 3, 2]),
    ):
        sizes.clear()
        link.copy("init")
        assert sizes == wanted


def test_repeat():
    link = Affine(2, 2)
    shared, copied, fresh = link.repeat(2, "share"), link.repeat(2, "copy"), link.repeat(2)
    assert paths(fresh) == ["/0/W", "/0/b", "/1/W", "/1/b"] and isinstance(fresh, Sequential)
    assert shared[0].W.array is link.W.array and shared[0] is not link
    assert copied[0].W.array is not link.W.array and np.array_equal(copied[0].W.array, link.W.array)
    assert not np.array_equal(fresh[0].W.array, fresh[1].W.array)
    assert len(link.repeat(0)) == 0
    with pytest.raises(ValueError, match="repeat"):
        link.repeat(0, "x")


def test_copyparams():
    mine, theirs = Net(), Net()
    theirs.z.mean[:], theirs.z.count = 4, 9
    theirs(np.ones((1, 3)))
    mine.copyparams(theirs)
    np.testing.assert_array_equal(mine.z.W.array, theirs.z.W.array)
    np.testing.assert_array_equal(mine.a.W.array, theirs.a.W.array)  # had no shape before
    assert mine.z.W.array is not theirs.z.W.array and mine.z.mean.tolist() == [4] * 4 and mine.z.count == 9
    mine.copyparams(Net(), copy_persistent=False)  # a source without a shape changes nothing
    assert mine.a.W.shape == (4, 2) and mine.z.count == 9
    with pytest.raises(ValueError, match=r"/W has shape \(2, 3\) but the source has \(2, 4\)"):
        Affine(2, 3).copyparams(Affine(2, 4))
    with pytest.raises(KeyError, match="'/k'"):
        Chain(l=Link(), k=Link()).copyparams(Chain(l=Link()))


# Serialization


def test_serialize_uses_paths_and_gives_lazy_parameters_their_shape():
    net = Net()
    net(np.ones((1, 3)))
    net.z.mean[:], net.z.count = 4, 9
    stored = state(net)
    assert set(stored) == {"p", "q", *(f"{n}/{v}" for n in "az" for v in ("W", "b", "mean", "count"))}
    assert stored["q"].dtype == object and stored["q"][()] is None
    other = Net()
    held = other.z.W.array
    other.serialize(NpzDeserializer(stored))
    assert other.z.W.array is held and other.z.count == 9 and type(other.z.count) is int
    assert not other.q.is_initialized
    for key, value in state(other).items():
        np.testing.assert_array_equal(value, stored[key])


def test_none_in_the_file_leaves_a_parameter_alone():
    net, lazy = Affine(2, 2), Affine(None, 2)
    before = net.W.array.copy()
    with pytest.warns(UserWarning, match="W had no shape yet when it was saved"):
        net.serialize(NpzDeserializer(state(lazy)))
    np.testing.assert_array_equal(net.W.array, before)


# ChainList and Sequential


def test_chainlist_is_a_list():
    a, b, c, d = (Link(W=(n,)) for n in range(1, 5))
    chain = ChainList(a, b)
    chain.append(c)
    chain.add_link(d)
    assert list(chain) == [a, b, c, d] and len(chain) == 4 and chain[-1] is d and chain[1:3] == [b, c]
    assert chain.pop() is d
    chain.insert(0, d)
    chain.remove(b)
    chain.reverse()
    assert list(chain) == [c, a, d] and [link.name for link in chain] == ["0", "1", "2"]
    chain[0] = b
    chain[1:] = [c]
    del chain[0]
    chain += [a]
    assert [p.shape for p in chain.params()] == [(3,), (1,)] and a in chain and chain.index(a) == 1
    with pytest.raises(TypeError, match="append it"), chain.init_scope():
        chain.link = Link()
    with pytest.raises(TypeError, match="not a Link"):
        chain.extend([b, double])
    with pytest.raises(TypeError, match="not a Link"):
        chain[0] = 3
    assert list(chain) == [c, a]
    with pytest.raises(IndexError):
        chain[5]
    with chain.init_scope():
        chain.p = Parameter(0, (2,))
    assert paths(chain) == ["/p", "/0/W", "/1/W"]


def test_sequential_applies_layers_and_numbers_links_only():
    model = Sequential(Affine(1, 2), double, Affine(None, 3))
    assert paths(model) == ["/0/W", "/0/b", "/1/W", "/1/b"]
    assert [link.name for link in model.children()] == ["0", "1"]
    assert len(model) == 3 and model[1] is double and model[1:] == [double, model[2]]
    x = np.ones((4, 1), np.float32)
    np.testing.assert_array_equal(model(x), model[2](2 * model[0](x)))
    assert "1/W" in state(model) and "2/W" not in state(model)


def test_sequential_passes_tuples_as_arguments():
    assert Sequential(lambda x: (x, x + 1), lambda a, b: a * b)(3) == 12
    assert Sequential(lambda a, b: a - b)(3, 1) == 2
    assert Sequential(lambda x: [x, x], len)(3) == 2
    assert Sequential(lambda x: (x, x))(3) == (3, 3)


def test_sequential_is_edited_like_a_list():
    a, b = Affine(1, 1), Affine(1, 1)
    model = Sequential(a)
    model.append(double)
    model.insert(0, double)
    model.extend(Sequential(b, double))
    assert list(model) == [double, a, double, b, double] and b.name == "1"
    assert model.count_by_layer_type("double") == 3 and model.count_by_layer_type("Affine") == 2
    assert list(model + Sequential(double)) == [*model, double]
    model.remove_by_layer_type("double")
    assert list(model) == [a, b]
    del model[0]
    assert b.name == "0" and model.pop() is b
    with pytest.raises(RuntimeError, match="no layer"):
        model(1)
    with pytest.raises(ValueError, match="callable"):
        model.append(3)
    with pytest.raises(ValueError, match="Sequential"):
        model + [double]


def test_sequential_flatten_and_copies():
    model = Sequential(Affine(1, 2), double, Sequential(Affine(2, 3), Sequential(double)))
    assert paths(model) == ["/0/W", "/0/b", "/1/0/W", "/1/0/b"]
    flat = model.flatten()
    assert list(flat) == [model[0], double, model[2][0], double]
    assert paths(flat) == ["/0/W", "/0/b", "/1/W", "/1/b"] and paths(model)[2] == "/1/0/W"
    x = np.ones((2, 1), np.float32)
    for other in (flat, model.copy(), model.copy("copy")):
        np.testing.assert_array_equal(other(x), model(x))
    shared = model.copy()
    assert shared[0] is not model[0] and shared[0].W.array is model[0].W.array
    shared.append(double)
    assert len(model) == 3


def test_text_shows_the_tree():
    model = Sequential(Affine(1, 2), Chain(a=Affine(None, 3)))
    assert str(model) == (
        "Sequential(\n  (0): Affine(n_in=1, n_out=2),\n  (1): Chain(\n    (a): Affine(n_in=None, n_out=3),\n  ),\n)"
    )
    assert str(Chain()) == "Chain()" and str(Link()) == "Link()"


# import chainer, chainer.functions as F; from chainer.links import Linear   (Chainer 7.8.1)
# model = chainer.Sequential(Linear(1, 1), F.relu, Linear(1, 2), Linear(1, 3))   (or F.relu before them)
# print([link.W.shape[0] for link in model.children()])
@pytest.mark.parametrize(("first", "numbered"), [([], [1, 3, 2]), ([double], [1, 2, 3])])
def test_sequential_numbers_its_links_as_chainer_does_in_files(first, numbered):
    model = Sequential(*first, Affine(1, 1), double, Affine(1, 2), Affine(1, 3))
    assert [link.n_out for link in model.children()] == numbered
    assert [link.name for link in model.children()] == ["0", "1", "2"]


# Chainer 7.8.1: Sequential(*layers), then [(layer.out_size, layer.name) for layer in layers._children]
@pytest.mark.parametrize(
    ("layers", "numbers"), [("012", "021"), ("f12", "12"), ("0f1f2", "021"), ("fff12", "12"), ("012345", "054321")]
)
def test_sequential_numbers_links_as_chainer_does(layers, numbers):
    net = Sequential(*(double if layer == "f" else Affine(1, int(layer)) for layer in layers))
    children = list(net.children())
    assert "".join(str(child.n_out) for child in children) == numbers
    assert [child.name for child in children] == [str(i) for i in range(len(children))]


def test_sequential_numbers_after_changes_as_chainer_does():
    # Chainer 7.8.1: insert(i, layer) in this order, then deletions and assignments, printing Sequential._children
    def numbers():
        assert [child.name for child in net.children()] == [str(i) for i in range(len(list(net.children())))]
        return [child.n_out for child in net.children()]

    net = Sequential()
    for index, layer in ((0, 0), (0, 1), (0, "f"), (2, 2), (3, 3), (4, "f"), (6, 4), (1, 5), (-1, 6), (-3, 8)):
        net.insert(index, double if layer == "f" else Affine(1, layer))
    assert numbers() == [1, 5, 8, 6, 0, 4, 3, 2]
    del net[0], net[2], net[-1]
    assert numbers() == [1, 5, 8, 6, 0, 3]
    net[0] = Affine(1, 30)
    assert numbers() == [30, 1, 8, 6, 0, 3]
    net[1] = double
    net[1] = Affine(1, 31)
    assert numbers() == [30, 31, 8, 6, 0, 3]
    assert net.pop().n_out == 6
    net.remove(net[1])
    assert numbers() == [30, 8, 0, 3] and [getattr(layer, "n_out", "f") for layer in net] == [30, 3, "f", 8, 0]
    with pytest.raises(IndexError, match="index 7"):
        net.insert(7, double)


def test_sequential_is_pickled_and_copied():
    net = Sequential(Affine(1, 1), double, Affine(1, 2), Affine(2, 3))
    for other in (pickle.loads(pickle.dumps(net)), net.copy("copy"), net.copy("init"), net.copy(), copy.copy(net)):
        assert other[1] is double and [child.n_out for child in other.children()] == [1, 3, 2]
        assert other[3] is list(other.children())[1]
    net.append(lambda x: x)
    with pytest.raises(ValueError, match="lambda"):
        pickle.dumps(net)
    assert net.copy("copy")[4] is net.copy()[4] is net[4]
    with pytest.raises(ValueError, match="cannot add a int"):
        net += 1
    net += Sequential(double)
    assert len(net) == 6 and net[5] is double


def test_a_forgotten_super_init_is_named_at_the_call():
    class Forgetful(Link):
        def __init__(self):
            pass

        def forward(self):
            pass

    with pytest.raises(RuntimeError, match=r"super\(\).__init__\(\)"):
        Forgetful()()


def test_devices_visit_the_whole_tree():
    class Old(Affine):
        moved = 0

        def to_cpu(self):
            self.moved += 1
            return super().to_cpu()

    class Own(Affine):
        def device_resident_accept(self, visitor):
            super().device_resident_accept(visitor)
            self.memory = visitor.visit_array([np.ones(1)])

    net = Chain(old=Old(1, 1), list=ChainList(Own(1, 1)))
    assert net.to_device("@numpy") is net and net.to_intel64() is net and net.from_chx() is net
    assert net.old.moved == 2 and net.list[0].memory == [1]
    with pytest.raises(NotImplementedError, match="Own does not define from_params"):
        Own.from_params()


def test_shared_copies_without_a_shape_share_the_array_that_comes():
    # Chainer 7.8.1: e = L.Linear(None, 3); s = e.copy(); e(x); s.W.array is e.W.array
    first = Affine(None, 3)
    second, third = first.copy(), first.copy()
    second(np.ones((1, 2)))
    assert first.W.array is second.W.array is third.W.array is not None
    fourth = Chain(a=Affine(None, 3))
    fifth, separate = fourth.copy(), fourth.copy("copy")
    fourth.a(np.ones((1, 2)))
    assert fifth.a.W.array is fourth.a.W.array and separate.a.W.array is None
    separate.a(np.ones((1, 4)))
    assert fourth.a.W.shape == (2, 3) and pickle.loads(pickle.dumps(fourth)).a.W.shape == (2, 3)


def test_a_new_array_of_one_shared_copy_is_that_of_all():
    # Chainer 7.8.1: s = e.copy(); s.W.array = clip(s.W.array); e.W.array is s.W.array
    first = Affine(2, 3)
    second, third = first.copy(), copy.deepcopy(first)
    second.W.array = np.clip(second.W.array, 0, 1)
    assert first.W.array is second.W.array and third.W.array is not first.W.array
    third.copy().W.initialize((2, 3))
    assert second.W.array is first.W.array and third.W.array is not first.W.array
    again = pickle.loads(pickle.dumps(second))
    again.W.array = np.zeros((2, 3))
    assert second.W.array is first.W.array and again.W.array is not first.W.array


def test_zerograds_calls_what_a_parameter_defines():
    class Counted(Parameter):
        calls = 0

        def zerograd(self):
            self.calls += 1
            super().zerograd()

    link = Link()
    with link.init_scope():
        link.W = Counted(np.ones(2, "f"))
    with pytest.warns(DeprecationWarning) as warned:
        link.zerograds()
    assert link.W.calls == 1 and len(warned) == 1 and link.W.grad.tolist() == [0, 0]
