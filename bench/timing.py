"""The one timing function: warm-up, interleaved repeats, median and spread."""

import statistics
import time

PAUSE = 0.05  # seconds before each call: a threaded BLAS keeps its cores busy for some time after it is done


def synchronize(xp):
    """Wait for the GPU, so that a clock read afterwards means something."""
    if xp.__name__ == "cupy":
        xp.cuda.get_current_stream().synchronize()


def measure(variants, xp, repeats=10, warmup=2):
    """Time each of ``variants`` (name -> callable), taking turns; return name -> milliseconds of each repeat."""
    for call in variants.values():
        for _ in range(warmup):
            call()
    synchronize(xp)
    times = {name: [] for name in variants}
    for _ in range(repeats):
        for name, call in variants.items():
            time.sleep(PAUSE)
            start = time.perf_counter()
            call()
            synchronize(xp)
            times[name].append(1e3 * (time.perf_counter() - start))
    return times


def summary(times):
    """Return median, minimum and maximum of a list of milliseconds."""
    return {"median_ms": statistics.median(times), "min_ms": min(times), "max_ms": max(times), "repeats": len(times)}
