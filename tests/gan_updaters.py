"""Small GANs in training, and what their tests compare."""

import numpy

from minigan import optimizers, random, reporter
from minigan.gans import ARCHITECTURES, GANS, GANUpdater
from minigan.iterators import SerialIterator
from minigan.serializers import DictionarySerializer, NpzDeserializer


def state(net):
    serializer = DictionarySerializer()
    net.serialize(serializer)
    return {name: array.copy() for name, array in serializer.target.items()}


def same(a, b):
    return a.keys() == b.keys() and all(numpy.array_equal(a[k], b[k]) for k in a)


def updater(arch="small", seed=0, n=24, batch=8, optimizer=None, gan="dcgan", pack=1, norm_dis=None, **options):
    random.seed(seed)
    images = numpy.random.RandomState(1).uniform(-1, 1, (n, 1, 28, 28)).astype(numpy.float32)
    names = ("norm_dis", "condition", "n_codes", "answer")
    chosen = {name: value for name, value in GANS[gan].DEFAULTS.items() if name in names}
    chosen |= {"norm_dis": norm_dis} if norm_dis else {}
    gen, dis = ARCHITECTURES[arch].build(z_dim=5, channels=1, size=28, width=4, n_classes=3, pack=pack, **chosen)
    data = [(x, numpy.int32(i % 3)) for i, x in enumerate(images)] if getattr(dis, "labelled", False) else images
    found = {}
    for name, net in (("gen", gen), ("dis", dis)):
        found[name] = (optimizer or optimizers.Adam)()
        found[name].setup(net)
    return GANUpdater(SerialIterator(data, batch), found, GANS[gan], **options)


def seen(u, *batches):
    """What a step of D reports."""
    observation, r = {}, reporter.Reporter()
    r.add_observer("dis", u.dis)
    with r.scope(observation):
        u.update_dis(*batches)
    return {name.removeprefix("dis/"): float(value) for name, value in observation.items()}


def goes_on_bit_for_bit(make, steps=2):
    """Go on from a saved updater of `make(seed)`, and compare with one that was never interrupted."""
    straight = make(0)
    for _ in range(2):
        straight.update()
    saved = DictionarySerializer()
    straight.serialize(saved)
    saved.target = {name: array.copy() for name, array in saved.target.items()}
    generators = random.get_state()
    for _ in range(steps):
        straight.update()
    resumed = make(77)
    resumed.serialize(NpzDeserializer(saved.target))
    random.set_state(generators)
    for _ in range(steps):
        resumed.update()
    assert same(state(straight.gen), state(resumed.gen))
    assert same(state(straight.dis), state(resumed.dis))
    assert same(state(straight.sampler), state(resumed.sampler))
