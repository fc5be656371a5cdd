import re

import numpy as np
import pytest

from minigan import Variable, no_backprop_mode
from minigan import functions as F
from minigan.computational_graph import build_computational_graph


def variable(name=None):
    return Variable(np.zeros((2, 3), "f"), name=name)


def numbered(text):
    """Replace ids by their order of appearance."""
    seen = {}
    return re.sub(r"\b\d{9,}\b", lambda match: str(seen.setdefault(match.group(), len(seen))), text)


def test_text():
    # Chainer 7.8.1 writes the same nodes and edges for chainer.computational_graph.build_computational_graph([x + x])
    text = numbered(build_computational_graph([variable("x") * 2]).dump())
    style = 'shape="octagon",fillcolor="#E0E0E0",style="filled"'
    assert text == (
        f'digraph graphname{{rankdir=TB;0 [label="(2, 3), float32",{style}];'
        '1 [label="_ * 2",shape="record",fillcolor="#6495ED",style="filled"];'
        f'2 [label="x: (2, 3), float32",{style}];1 -> 0;2 -> 1;}}'
    )


def test_nodes_and_edges():
    x, y = variable("x"), variable("y")
    z = (x + y) * x - 1
    graph = build_computational_graph([z, z])
    assert len(graph.nodes) == 8 and len(graph.edges) == 8
    assert (x.node, z.creator.inputs[0].creator_node) in graph.edges
    assert len(build_computational_graph([x + x]).edges) == 2  # an edge is drawn once
    with no_backprop_mode():
        assert len(build_computational_graph([F.exp(x)]).nodes) == 1


def test_labels_of_operators():
    # as Chainer 7.8.1 labels them
    x = Variable(np.ones((2, 3), "f"))
    labels = [y.creator.label for y in (1 + x, x - 1, 1 - x, x * 2.5, x / 4, 1 / x, x**2, 2**x, -x, abs(x), x @ x.T)]
    assert labels == [
        "_ + 1", "_ + (-1)", "1 - _", "_ * 2.5", "_ * 0.25", "1 / _", "_ ** 2", "2 ** _", "__neg__", "|_|", "MatMul",
    ]  # fmt: skip


def test_options():
    x = variable("x")
    y = F.exp(x) + 1
    text = build_computational_graph(
        [y], rankdir="LR", show_name=False, variable_style={"shape": "box"}, function_style={"color": "red"}
    ).dump()
    assert "rankdir=LR" in text and '"x:' not in text and 'shape="box"' in text and 'color="red"' in text
    functions = numbered(build_computational_graph([y], remove_variable=True).dump())
    assert functions.count("label") == 2 and functions.endswith("1 -> 0;}")
    with pytest.raises(ValueError, match="rankdir is 'X'"):
        build_computational_graph([y], rankdir="X")
    with pytest.raises(ValueError, match="remove_split"):
        build_computational_graph([y], remove_split=False)
    with pytest.raises(NotImplementedError, match="svg"):
        build_computational_graph([y]).dump("svg")
