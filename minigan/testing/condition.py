"""Tests with randomness in them: run again, and counted."""

from __future__ import annotations

import functools
import unittest
from collections.abc import Callable
from typing import Any


def repeat_with_success_at_least(times: int, min_success: int) -> Callable[[Any], Any]:
    """Run a test `times` times, `setUp` and `tearDown` with it; it passes if `min_success` of the runs do."""

    def decorator(test: Any) -> Any:
        @functools.wraps(test)
        def run(*args: Any, **kwargs: Any) -> None:
            failure: Exception | None = None
            good, case = 0, args[0] if args and isinstance(args[0], unittest.TestCase) else None
            for i in range(times):
                if i and case:
                    case.tearDown()
                    case.setUp()
                try:
                    test(*args, **kwargs)
                    good += 1
                except unittest.SkipTest:
                    raise
                except Exception as error:
                    failure = error
                if good >= min_success:
                    return
            raise AssertionError(f"{good} of {times} runs passed; wanted {min_success}") from failure

        return run

    return decorator


def repeat(times: int, intensive_times: int | None = None) -> Callable[[Any], Any]:
    """Run a test `times` times; every run must pass."""
    return repeat_with_success_at_least(times, times)


def retry(times: int) -> Callable[[Any], Any]:
    """Run a test up to `times` times, until it passes."""
    return repeat_with_success_at_least(times, 1)
