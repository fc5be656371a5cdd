"""Rows of the test table: functions.noise."""

import numpy as np
from functions.table import in_test_mode, normal, row

import minigan.functions as F

MASK = np.array([[0.0, 2.0, 2.0], [2.0, 0.0, 2.0]])

ROWS = [
    row("dropout", normal(2, 3), lambda x, ratio, mask: x * mask, ratio=0.5, mask=MASK),
    row("dropout", normal(2, 3), lambda x: x, in_test_mode(lambda x: F.dropout(x)), note="test-mode"),
]
