"""The nets have the shapes that their sources state, layer by layer, and fit images of 1, 3 and 4 channels."""

import re

import numpy
import pytest

import minigan.functions as F
from minigan import random
from minigan.configuration import no_backprop_mode, using_config
from minigan.dataset.errors import DataError
from minigan.gans import GANS, GANUpdater
from minigan.gans.nets import (
    ARCHITECTURES,
    OWN,
    BookDiscriminator,
    BookGenerator,
    ChainerDiscriminator,
    ChainerGenerator,
    DeepDiscriminator,
    EncoderGenerator,
    FineGenerator,
    PlanesDiscriminator,
    PlanesGenerator,
    PoolDiscriminator,
    PoolGenerator,
    SmallDiscriminator,
    SmallGenerator,
)
from minigan.iterators import SerialIterator
from minigan.optimizers import Adam


def shapes_inside(net, x):
    """Run the net once and return {name of a direct child: shape of its output}."""
    found = {}

    class Watch:
        def __init__(self, name, link):
            self.name, self.link = name, link

        def __call__(self, *args, **kwargs):
            y = self.link(*args, **kwargs)
            found[self.name] = y.shape
            return y

    for child in list(net.children()):
        net.__dict__[child.name] = Watch(child.name, child)
    with no_backprop_mode():
        found["out"] = net(x).shape
    return found


def zeros(*shape):
    return numpy.zeros(shape, numpy.float32)


def test_book_generator_is_row_5_layer_by_layer():
    assert shapes_inside(BookGenerator(), zeros(2, 100)) == {
        "fc1": (2, 256 * 7 * 7),
        "bn1": (2, 256, 7, 7),
        "dc2": (2, 128, 14, 14),
        "bn2": (2, 128, 14, 14),
        "dc3": (2, 64, 14, 14),
        "bn3": (2, 64, 14, 14),
        "dc4": (2, 1, 28, 28),
        "out": (2, 1, 28, 28),
    }


def test_book_discriminator_is_row_5_layer_by_layer():
    net = BookDiscriminator()
    assert net.fc4.W.shape == (1, 1152)
    assert shapes_inside(net, zeros(2, 1, 28, 28)) == {
        "c1": (2, 32, 14, 14),
        "c2": (2, 64, 7, 7),
        "bn2": (2, 64, 7, 7),
        "c3": (2, 128, 3, 3),
        "bn3": (2, 128, 3, 3),
        "fc4": (2, 1),
        "out": (2, 1),
    }


def test_small_nets_layer_by_layer():
    assert shapes_inside(SmallGenerator(width=8), zeros(2, 100)) == {
        "fc1": (2, 16 * 49),
        "bn1": (2, 16, 7, 7),
        "dc2": (2, 8, 14, 14),
        "bn2": (2, 8, 14, 14),
        "dc3": (2, 1, 28, 28),
        "out": (2, 1, 28, 28),
    }
    assert shapes_inside(SmallDiscriminator(width=8), zeros(2, 1, 28, 28)) == {
        "c1": (2, 8, 14, 14),
        "c2": (2, 16, 7, 7),
        "bn2": (2, 16, 7, 7),
        "fc3": (2, 1),
        "out": (2, 1),
    }


def test_deep_discriminator_has_one_layer_more():
    assert shapes_inside(DeepDiscriminator(width=8), zeros(2, 1, 28, 28)) == {
        "c1": (2, 8, 14, 14),
        "c2": (2, 16, 7, 7),
        "bn2": (2, 16, 7, 7),
        "c3": (2, 32, 3, 3),
        "bn3": (2, 32, 3, 3),
        "fc4": (2, 1),
        "out": (2, 1),
    }
    assert shapes_inside(DeepDiscriminator(width=4, size=64, doublings=0), zeros(2, 1, 64, 64))["bn5"] == (2, 64, 2, 2)
    with pytest.raises(DataError, match="size is 4 and so small"):
        DeepDiscriminator(size=4)


IMAGES = [name for name in ARCHITECTURES if name != "ring"]


def test_fine_generator_goes_over_each_map_again():
    found = shapes_inside(FineGenerator(z_dim=10, width=8), zeros(2, 10))
    assert [*found.items()] == [
        ("fc1", (2, 16 * 7 * 7)),
        ("bn1", (2, 16, 7, 7)),
        ("c1", (2, 16, 7, 7)),
        ("bc1", (2, 16, 7, 7)),
        ("dc2", (2, 8, 14, 14)),
        ("bn2", (2, 8, 14, 14)),
        ("c2", (2, 8, 14, 14)),
        ("bc2", (2, 8, 14, 14)),
        ("dc3", (2, 1, 28, 28)),
        ("out", (2, 1, 28, 28)),
    ]


def test_planes_are_made_and_judged_alike(rng):
    gen, dis = PlanesGenerator(z_dim=10, channels=3, width=8), PlanesDiscriminator(channels=3, width=8)
    inside = shapes_inside(gen.copy("copy"), zeros(2, 10))
    assert (inside["fc1"], inside["dc3"], inside["out"]) == ((2, 3 * 16 * 49), (6, 1, 28, 28), (2, 3, 28, 28))
    inside = shapes_inside(dis.copy("copy"), zeros(2, 3, 28, 28))
    assert (inside["c1"], inside["fc4"], inside["out"]) == ((6, 8, 14, 14), (2, 256), (2, 1))
    assert dis.fc4.W.shape == (256, 3 * 32 * 9)
    with using_config("train", False), no_backprop_mode():
        weights = gen.fc1.W.array.reshape(3, -1, 10)
        weights[1] = weights[0]  # the same map for two planes is the same plane
        red, green, blue = gen(rng.randn(4, 10).astype("f")).array.transpose(1, 0, 2, 3)
    assert numpy.array_equal(red, green) and not numpy.array_equal(red, blue)


def test_what_planes_say_together_is_no_sum_of_what_each_says(rng):
    """Were it one, D could not tell that two planes depend on each other: f(a, b) - f(a, d) = f(c, b) - f(c, d)."""
    dis = PlanesDiscriminator(channels=2, width=8)
    dis.fc4.W.array *= 20
    a, b, c, d = rng.uniform(-1, 1, (4, 1, 28, 28)).astype("f")
    with using_config("train", False), no_backprop_mode():
        ab, ad, cb, cd = dis(numpy.stack([numpy.concatenate(pair) for pair in ((a, b), (a, d), (c, b), (c, d))])).array
    assert abs((ab - ad) - (cb - cd)) > 1e-3 * abs(ab - ad)


@pytest.mark.parametrize("arch", IMAGES)
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("size", [28, 32, 64])
def test_generator_and_discriminator_fit_each_other(arch, channels, size):
    gen, dis = ARCHITECTURES[arch].build(z_dim=7, channels=channels, size=size, width=4)
    with no_backprop_mode():
        images = gen(gen.latent(3))
        logits = dis(images)
    assert images.shape == (3, channels, size, size)
    assert images.dtype == numpy.float32
    assert abs(images.array).max() <= 1
    assert logits.shape == (3, 1)


@pytest.mark.parametrize("arch", IMAGES)
@pytest.mark.parametrize(("size", "channels"), [(28, 1), (32, 3), (64, 4)])
def test_both_nets_take_a_step(arch, size, channels):
    """Each weight of either net gets a gradient, and moves."""
    random.seed(1)
    own = {name: value for name, value in ARCHITECTURES[arch].defaults.items() if name in OWN}
    gen, dis = ARCHITECTURES[arch].build(z_dim=7, channels=channels, size=size, width=4, **own)
    before = {name: param.array.copy() for net in (gen, dis) for name, param in net.namedparams()}
    data = numpy.random.uniform(-1, 1, (4, channels, size, size)).astype(numpy.float32)
    found = {name: Adam().setup(net) for name, net in (("gen", gen), ("dis", dis))}
    GANUpdater(SerialIterator(data, 4), found, GANS["dcgan"]).update()
    for net in (gen, dis):
        for name, param in net.namedparams():
            assert numpy.isfinite(param.grad).all() and abs(param.grad).max() > 0, name
            assert not numpy.array_equal(param.array, before[name])


@pytest.mark.parametrize(("size", "maps"), [(20, [5, 10]), (28, [7, 14]), (32, [4, 8, 16]), (64, [4, 8, 16, 32])])
def test_small_nets_double_as_often_as_the_size_lets_them(size, maps):
    gen, dis = ARCHITECTURES["small"].build(z_dim=5, channels=3, size=size, width=2, doublings=0)
    wide = [2 << i for i in reversed(range(len(maps)))]
    found = shapes_inside(gen, zeros(2, 5))
    assert [found[f"bn{i}"] for i in range(1, len(maps) + 1)] == [(2, c, s, s) for c, s in zip(wide, maps)]
    seen = shapes_inside(dis, zeros(2, 3, size, size))
    assert [seen[f"c{i}"] for i in range(len(maps), 0, -1)] == [(2, c, s, s) for c, s in zip(wide, maps)]


def test_pool_nets_layer_by_layer():
    assert shapes_inside(PoolGenerator(width=8), zeros(2, 100)) == {
        "fc1": (2, 16 * 49),
        "bn1": (2, 16, 7, 7),
        "c2": (2, 8, 14, 14),
        "bn2": (2, 8, 14, 14),
        "c3": (2, 1, 28, 28),
        "out": (2, 1, 28, 28),
    }
    found = shapes_inside(PoolDiscriminator(width=8), zeros(2, 1, 28, 28))
    assert found == {"c1": (2, 8, 28, 28), "c2": (2, 16, 14, 14), "fc3": (2, 1), "out": (2, 1)}


@pytest.mark.parametrize(("size", "sides"), [(28, [3, 7, 14, 28]), (30, [3, 7, 15, 30]), (32, [4, 8, 16, 32])])
def test_chainer_nets_layer_by_layer(size, sides):
    found = shapes_inside(ChainerGenerator(size=size, width=2), zeros(2, 128))
    assert found["l0"] == (2, 16 * sides[0] ** 2)
    assert [found[f"dc{i}"] for i in range(1, 5)] == [
        (2, c, s, s) for c, s in zip([8, 4, 2, 1], [*sides[1:], size])
    ]  # fmt: skip
    net = ChainerDiscriminator(size=size, width=2)
    assert net.l7.W.shape == (1, 16 * sides[0] ** 2)
    seen = shapes_inside(net, zeros(2, 1, size, size))
    assert [seen[f"c{i}"][1:3] for i in range(7)] == [
        (2, sides[3]), (4, sides[2]), (4, sides[2]), (8, sides[1]), (8, sides[1]), (16, sides[0]), (16, sides[0])
    ]  # fmt: skip


def test_encoder_makes_a_sketch_a_few_numbers_and_an_image():
    found = shapes_inside(EncoderGenerator(width=4), zeros(2, 100))
    assert found == {"sketch": (2, 784), "encoder": (2, 64), "decoder": (2, 1, 28, 28), "out": (2, 1, 28, 28)}


def test_noise_and_classes_of_a_seed_are_always_the_same():
    """Row 21's sampler: the numbers are NumPy's for that seed, as `numpy.random.seed(3)` and these draws give them."""
    gen, _ = ARCHITECTURES["encoder"].build(z_dim=2, channels=1, size=28, width=2, condition="projection", n_classes=3)
    random.seed(3)
    z = gen.latent(2)
    numpy.testing.assert_allclose(z[:, :2], [[1.78862847, 0.43650985], [0.09649747, -1.8634927]], rtol=1e-6)
    numpy.testing.assert_array_equal(gen.labels_of(z), [2, 2])


@pytest.mark.parametrize("arch", ["deep", "small", "fine", "planes", "book", "pool", "encoder"])
def test_image_side_must_be_a_multiple_of_four(arch):
    with pytest.raises(DataError, match="size is 30 but .* multiple of 4"):
        ARCHITECTURES[arch].build(z_dim=4, channels=1, size=30, width=4)


@pytest.mark.parametrize("arch", sorted(ARCHITECTURES.keys() - {"ring"}))
def test_nets_that_are_advised_can_make_the_size(arch):
    for size in range(1, 14):
        try:
            ARCHITECTURES[arch].build(z_dim=4, channels=1, size=size, width=4)
        except DataError as error:
            advised = re.search(r"--arch (\w+)(?: or (\w+))?", str(error))
            larger = re.search(r"--size (\d+),? or more", str(error))
            cures = [(name, size) for name in filter(None, advised.groups())] if advised else [(arch, int(larger[1]))]
            for name, side in cures:
                ARCHITECTURES[name].build(z_dim=4, channels=1, size=side, width=4)
        else:
            assert arch == "mlp" or size >= 4


def test_chainer_nets_want_eight_pixels():
    with pytest.raises(DataError, match="size is 7 but .* 8 or more"):
        ARCHITECTURES["chainer"].build(z_dim=4, channels=1, size=7, width=4)


def test_a_cnn_with_pooling_tells_two_kinds_of_toys_apart():
    """Row 19: bars that lie or stand, in noise."""
    random.seed(0)
    rng = numpy.random.RandomState(0)
    x, labels = rng.normal(0, 0.3, (500, 1, 12, 12)).astype(numpy.float32), rng.randint(0, 2, 500)
    for image, label, place in zip(x[:, 0], labels, rng.randint(0, 12, 500)):
        (image.T if label else image)[place] += 1
    net = PoolDiscriminator(size=12, width=8)
    optimizer = Adam(3e-3).setup(net)

    def loss(part):
        return F.sigmoid_cross_entropy(net(x[part]), labels[part, None])

    for start in [*range(0, 400, 50)] * 8:
        optimizer.update(loss, slice(start, start + 50))
    with no_backprop_mode():
        right = (net(x[400:]).array[:, 0] > 0) == labels[400:]
    assert right.mean() >= 0.95


def test_dcgan_weights_start_with_standard_deviation_of_two_hundredths():
    numpy.random.seed(0)
    gen = SmallGenerator()
    w = gen.dc2.W.array
    assert abs(w.std() - 0.02) < 3 * 0.02 / (2 * w.size) ** 0.5
    assert abs(w.mean()) < 3 * 0.02 / w.size**0.5


def test_first_biases_of_the_small_discriminator_are_spread_out():
    numpy.random.seed(0)
    b = SmallDiscriminator(channels=1, width=400).c1.b.array
    assert abs(b).max() <= 0.25
    assert abs(b.std() - 0.25 / 3**0.5) < 0.02


def test_latent_noise_is_standard_normal_and_from_the_global_generator():
    gen = SmallGenerator(z_dim=50, width=2)
    numpy.random.seed(5)
    z = gen.latent(400)
    assert z.dtype == numpy.float32
    numpy.random.seed(5)
    numpy.testing.assert_array_equal(z, numpy.random.standard_normal((400, 50)).astype(numpy.float32))
