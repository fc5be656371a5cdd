"""A conditional GAN draws the digits that are asked for: a classifier trained apart agrees (row 18)."""

import numpy
from click.testing import CliRunner

from minigan.cli import main
from minigan.metrics import lenet


def test_a_classifier_agrees_with_the_classes_that_were_asked_for(tmp_path):
    """At least 80 of 100, after ten seconds of a core on the digits that come along."""
    out, samples = tmp_path / "run", tmp_path / "samples.npz"
    nets = "--arch small --width 16 --z-dim 16 --batch-size 32 --alpha 0.004".split()
    for arguments in (
        ["train", "cgan", *nets, "--steps", "300", "--log-every", "300", "--sample-every", "300", "--out", str(out)],
        ["sample", str(out), "--n", "500", "--out", str(samples)],
    ):
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0, result.output
    with numpy.load(samples) as made:
        images, labels = made["images"], made["labels"]
    assert numpy.bincount(labels).tolist() == [50] * 10
    classifier, _ = lenet.load(lenet.SHIPPED["mnist"])
    assert (lenet.classes(classifier, images) == labels).mean() >= 0.8
