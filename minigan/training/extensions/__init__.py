"""Extensions: what can be hooked into the training loop, one to a file."""

from minigan.training.extensions.evaluator import Evaluator
from minigan.training.extensions.log_report import LogReport
from minigan.training.extensions.plot_report import PlotReport
from minigan.training.extensions.print_report import PrintReport
from minigan.training.extensions.progress_bar import ProgressBar
from minigan.training.extensions.snapshot import snapshot, snapshot_object
from minigan.training.extensions.value_observation import observe_lr, observe_value

__all__ = [
    "Evaluator", "LogReport", "PlotReport", "PrintReport", "ProgressBar", "observe_lr", "observe_value", "snapshot",
    "snapshot_object",
]  # fmt: skip
