"""The step of gan_step with more and larger images: time and memory should grow as the work does, not faster."""

from cases import gan_step
from cases.gan_step import data  # noqa: F401

NAME, FRESH, SECONDS = "gan_step", True, 5.0
BATCHES, SIZES, SMALL_BATCH = (32, 64, 128, 256), (28, 40, 56, 80), 32


def rows(device, quick):
    """Batches of 28 x 28 images, then a batch of 32 images of growing area; the first of both is the same."""
    if device == "emulator":  # whose time is its own
        return []
    if quick:
        return [gan_step.row(n, 12, f"batch {n}, 12 x 12") for n in (4, 8)]
    points = [(n, 28) for n in BATCHES] + [(SMALL_BATCH, size) for size in SIZES[1:]]
    return [gan_step.row(n, size, f"batch {n}, {size} x {size}") for n, size in points]
