"""A picture of the graph that a backward pass walks, as text for Graphviz: octagons are arrays, boxes functions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minigan.core import FunctionNode, Parameter, Variable, VariableNode

__all__ = ["ComputationalGraph", "DotNode", "build_computational_graph"]

_VARIABLE = {"shape": "octagon", "fillcolor": "#E0E0E0", "style": "filled"}
_FUNCTION = {"shape": "record", "fillcolor": "#6495ED", "style": "filled"}


class DotNode:
    """One node of the picture: an id, and attributes of Graphviz."""

    def __init__(self, node: Any, attribute: dict[str, str] | None = None, show_name: bool = True) -> None:
        self.node, self.id_, self.show_name = node, id(node), show_name
        shape = "box" if isinstance(node, FunctionNode) else "oval"
        self.attribute = {"label": self.label, "shape": shape, **(attribute or {})}

    @property
    def label(self) -> str:
        """What stands in the node: the function's label, or name, shape and dtype of the array."""
        name = getattr(self.node, "name", None) if isinstance(self.node, VariableNode) and self.show_name else None
        return f"{name}: {self.node.label}" if name is not None else self.node.label

    def __str__(self) -> str:
        attributes = ",".join(f'{key}="{value}"' for key, value in self.attribute.items())
        return f"{self.id_} [{attributes}];"


class ComputationalGraph:
    """Nodes (``VariableNode`` and ``FunctionNode`` objects) and edges (pairs of nodes), which ``dump`` writes as text.

    ``variable_style`` and ``function_style`` are dicts of Graphviz attributes; ``rankdir`` is TB, BT, LR or RL;
    ``remove_variable`` leaves the functions only; ``show_name`` writes names of Variables into their nodes.
    """

    def __init__(self, nodes: Iterable[Any], edges: Iterable[tuple[Any, Any]], variable_style: Any = "default",
                 function_style: Any = "default", rankdir: str = "TB", remove_variable: bool = False,
                 show_name: bool = True) -> None:  # fmt: skip
        self.nodes, self.edges = list(nodes), list(edges)
        self.variable_style = _VARIABLE if variable_style == "default" else variable_style
        self.function_style = _FUNCTION if function_style == "default" else function_style
        if rankdir not in ("TB", "BT", "LR", "RL"):
            raise ValueError(f"ComputationalGraph: rankdir is {rankdir!r}; wanted TB, BT, LR or RL")
        self.rankdir, self.remove_variable, self.show_name = rankdir, remove_variable, show_name

    def dump(self, format: str = "dot") -> str:
        """Return the text; ``dot`` is the only format."""
        if format != "dot":
            raise NotImplementedError(f"ComputationalGraph.dump: format is {format!r}; only 'dot' is written")
        nodes, edges = (self.nodes, self.edges) if not self.remove_variable else self._functions_only()
        lines = [f"digraph graphname{{rankdir={self.rankdir};"]
        for node in nodes:
            style = self.function_style if isinstance(node, FunctionNode) else self.variable_style
            lines.append(str(DotNode(node, style, self.show_name)))
        lines += [f"{id(head)} -> {id(tail)};" for head, tail in edges]
        return "".join([*lines, "}"])

    def _functions_only(self) -> tuple[list, list]:
        makers = {id(tail): head for head, tail in self.edges if isinstance(head, FunctionNode)}
        edges = [
            (makers[id(head)], tail)
            for head, tail in self.edges
            if isinstance(tail, FunctionNode) and id(head) in makers
        ]
        return [node for node in self.nodes if isinstance(node, FunctionNode)], edges


def build_computational_graph(
    outputs: Iterable[Variable | VariableNode], remove_split: bool = True, variable_style: Any = "default",
    function_style: Any = "default", rankdir: str = "TB", remove_variable: bool = False, show_name: bool = True,
) -> ComputationalGraph:  # fmt: skip
    """Return the graph of all that ``outputs`` were computed from; the arguments are those of ``ComputationalGraph``.

    ``remove_split`` is from Chainer 1 and may only be True.
    """
    if not remove_split:
        raise ValueError("build_computational_graph: remove_split=False does not exist any more; leave it out")
    nodes: dict[int, Any] = {}
    edges: list[tuple[Any, Any]] = []
    stack: list[Any] = [y.node if isinstance(y, Variable) else y for y in outputs]
    while stack:
        node = stack.pop()
        if id(node) in nodes:
            continue
        nodes[id(node)] = node
        sources = (node.inputs or ()) if isinstance(node, FunctionNode) else [node.creator_node]
        for source in sources:
            if source is not None and not _is_nothing(source):
                edges.append((source, node))
                stack.append(source)
    return ComputationalGraph(
        nodes.values(), dict.fromkeys(edges), variable_style, function_style, rankdir, remove_variable, show_name
    )


def _is_nothing(node: Any) -> bool:
    """Say whether it is the node of an argument that was None."""
    if not isinstance(node, VariableNode) or node.shape is not None:
        return False
    return not isinstance(node.get_variable_or_none(), Parameter)
