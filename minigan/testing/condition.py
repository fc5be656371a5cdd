"""Tests with randomness in them: run again, and counted."""

from __future__ import annotations

import functools
import unittest
from collections.abc import Callable
from typing import Any


def repeat_with_success_at_least(times: int, min_success: int) -> Callable[[Any], Any]:
    """Run a test up to `times` times, `setUp` and `tearDown` with it; it passes if `min_success` of the runs do.

    It ends as soon as that is decided.
    """

    if not 0 <= min_success <= times:
        raise AssertionError(f"repeat_with_success_at_least: {min_success} of {times} runs cannot pass")

    def decorator(test: Any) -> Any:
        @functools.wraps(test)
        def run(*args: Any, **kwargs: Any) -> None:
            failures: list[Exception] = []
            good, case = 0, args[0] if args and isinstance(args[0], unittest.TestCase) else None
            while good < min_success and len(failures) <= times - min_success:
                if case and (good or failures):
                    case.tearDown()
                    case.setUp()
                try:
                    test(*args, **kwargs)
                    good += 1
                except unittest.SkipTest:
                    raise
                except Exception as error:
                    failures.append(error)
            if good < min_success:
                raise AssertionError(
                    f"{len(failures)} runs failed and {good} passed; wanted {min_success} of {times}. "
                    f"The first error message: {failures[0]}"
                ) from failures[0]

        return run

    return decorator


def repeat(times: int, intensive_times: int | None = None) -> Callable[[Any], Any]:
    """Run a test `times` times; every run must pass."""
    return repeat_with_success_at_least(times, times)


def retry(times: int) -> Callable[[Any], Any]:
    """Run a test up to `times` times, until it passes."""
    return repeat_with_success_at_least(times, 1)
