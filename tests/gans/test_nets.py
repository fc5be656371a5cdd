"""The nets have the shapes that their sources state, layer by layer, and fit images of 1, 3 and 4 channels."""

import numpy
import pytest

from minigan.configuration import no_backprop_mode
from minigan.gans.nets import ARCHITECTURES, BookDiscriminator, BookGenerator, SmallDiscriminator, SmallGenerator


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


@pytest.mark.parametrize("arch", [name for name in ARCHITECTURES if name != "ring"])
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


@pytest.mark.parametrize("arch", ["small", "book"])
def test_image_side_must_be_a_multiple_of_four(arch):
    with pytest.raises(ValueError, match="size is 30 but .* multiple of 4"):
        ARCHITECTURES[arch].build(z_dim=4, channels=1, size=30, width=4)


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
