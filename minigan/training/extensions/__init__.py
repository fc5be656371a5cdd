"""Extensions: what can be hooked into the training loop, one chapter to a file."""

from minigan.training.extensions import snapshot_writers, util
from minigan.training.extensions.dump_graph import DumpGraph, dump_graph
from minigan.training.extensions.evaluator import Evaluator
from minigan.training.extensions.guards import FailOnNonNumber, unchain_variables
from minigan.training.extensions.log_report import LogReport
from minigan.training.extensions.plot_report import PlotReport
from minigan.training.extensions.print_report import PrintReport, PrintReportNotebook
from minigan.training.extensions.progress_bar import ProgressBar
from minigan.training.extensions.shifts import (
    CosineShift,
    ExponentialShift,
    InverseShift,
    LinearShift,
    MultistepShift,
    PolynomialShift,
    StepShift,
    WarmupShift,
)
from minigan.training.extensions.snapshot import snapshot, snapshot_object
from minigan.training.extensions.statistics import MicroAverage, ParameterStatistics
from minigan.training.extensions.value_observation import observe_lr, observe_value
from minigan.training.extensions.variable_statistics_plot import VariableStatisticsPlot

__all__ = [
    "CosineShift", "DumpGraph", "Evaluator", "ExponentialShift", "FailOnNonNumber", "InverseShift", "LinearShift",
    "LogReport", "MicroAverage", "MultistepShift", "ParameterStatistics", "PlotReport", "PolynomialShift",
    "PrintReport", "PrintReportNotebook", "ProgressBar", "StepShift", "VariableStatisticsPlot", "WarmupShift",
    "dump_graph", "observe_lr", "observe_value", "snapshot", "snapshot_object", "snapshot_writers",
    "unchain_variables", "util",
]  # fmt: skip
