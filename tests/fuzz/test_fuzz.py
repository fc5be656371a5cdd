"""A small part of `python -m tests.fuzz`; the same inputs at every run."""

import pytest
from fuzz.harness import fuzz


@pytest.mark.filterwarnings("ignore")
def test_no_input_crashes_hangs_or_half_loads():
    counts, complaints = fuzz(400, seed=1)
    assert complaints == [] and counts["refused"] > 200 and counts["loaded"] > 20
