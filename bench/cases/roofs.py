"""What the machine can do at best, measured first in every run: copy a large array, multiply square matrices."""

from cases import Row, random

CALLS = 0  # there is nothing to compare


def rows(device, quick):
    megabytes, n = (16, 256) if quick else (512, 8192) if device == "cuda" else (256, 2048)
    return [
        Row("copy", {"what": "copy", "size": megabytes << 18}, f"{megabytes} MB", bytes=2 * megabytes << 20),
        Row("product", {"what": "product", "size": n}, f"{n} x {n} x {n}", flops=2 * n**3),
    ]


def data(what, size):
    return {"a": random(size)} if what == "copy" else {"a": random(size, size), "b": random(size, size, seed=1)}
