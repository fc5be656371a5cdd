"""A picture of the network: writes the graph that led to a reported value, once, as a DOT file and, if it can, PNG."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from pathlib import Path
from typing import Any

from minigan.computational_graph import build_computational_graph
from minigan.configuration import config
from minigan.core import Variable
from minigan.training.extension import Extension
from minigan.utils.files import atomic_write

_VARIABLE = {"shape": "octagon", "fillcolor": "#E0E0E0", "style": "filled"}
_FUNCTION = {"shape": "record", "fillcolor": "#6495ED", "style": "filled"}
_PATIENCE = 60  # seconds for a picture: a graph of thousands of nodes takes minutes


def is_graphviz_available() -> bool:
    """Say whether Graphviz's program `dot` is installed."""
    return shutil.which("dot") is not None


class DumpGraph(Extension):
    """Writes the graph behind an observed Variable in the first iteration, and its picture if Graphviz is installed.

    Args:
        root_name: Name of the value, such as `"main/loss"`.
        filename: File in the trainer's folder, `cg.dot` by default; `out_name` is the old name.
        variable_style, function_style: Dicts of DOT attributes of the two kinds of nodes.
    """

    default_name = "dump_graph"

    def __init__(self, root_name: str, filename: str | None = None, variable_style: dict | None = None,
                 function_style: dict | None = None, **kwargs: Any) -> None:  # fmt: skip
        self._root_name = root_name
        self._filename = kwargs.pop("out_name", None) or filename or "cg.dot"
        if kwargs:
            raise TypeError(f"DumpGraph: there is no argument {next(iter(kwargs))!r}")
        self._variable_style = variable_style or _VARIABLE
        self._function_style = function_style or _FUNCTION
        self._original_flag: bool | None = None
        self._flag_called = False

    def initialize(self, trainer: Any) -> None:
        """Let reported values keep their graphs until the picture is made."""
        if not self._flag_called:
            self._original_flag = config.keep_graph_on_report
            config.keep_graph_on_report = True

    def trigger(self, trainer: Any) -> bool:
        """Fire once."""
        fires = not self._flag_called
        self._flag_called = True
        return fires

    def __call__(self, trainer: Any) -> None:
        """Write the file and put the configuration back."""
        config.keep_graph_on_report = bool(self._original_flag)
        if self._root_name not in trainer.observation:
            raise KeyError(
                f"DumpGraph: nothing was reported as {self._root_name!r}; reported were {sorted(trainer.observation)}"
            )
        root = trainer.observation[self._root_name]
        if not isinstance(root, Variable):
            raise TypeError(f"DumpGraph: {self._root_name} is a {type(root).__name__}; wanted a Variable, with a graph")
        graph = build_computational_graph(
            [root], variable_style=self._variable_style, function_style=self._function_style
        )
        path = Path(trainer.out, self._filename)
        with atomic_write(path) as file:
            file.write(graph.dump().encode())
        if is_graphviz_available():
            try:
                command = ["dot", "-Tpng", str(path), "-o", str(path.with_suffix(".png"))]
                subprocess.run(command, check=True, capture_output=True, timeout=_PATIENCE)
            except (OSError, subprocess.SubprocessError) as error:
                warnings.warn(f"DumpGraph: {path} has no picture beside it: {error}")

    def serialize(self, serializer: Any) -> None:
        """Write or read whether the picture has been made."""
        self._original_flag = serializer("_original_flag", self._original_flag)
        self._flag_called = bool(serializer("_flag_called", self._flag_called))


dump_graph = DumpGraph
