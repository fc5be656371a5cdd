"""Rows of the test table: functions.util."""

from functions.table import normal, row

import minigan.functions as F

ROWS = [
    # its gradient is for test_util.py: it has no second derivative
    row("forget", (normal(2, 3), normal(2, 3)), lambda x, y: (x * y, x + y),
        lambda x, y: F.forget(lambda a, b: (a * b, a + b), x, y), differentiable=False),
]
