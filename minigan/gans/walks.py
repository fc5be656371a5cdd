"""Ways through the noise: what lies between two images, and between an image and the most typical one.

Normal noise of many numbers lies near a sphere, so that a straight line between two points passes through a void, where
G was never trained; a great circle stays where the noise is (White 2016, arXiv:1609.04468, section 2.1).
"""

from __future__ import annotations

from typing import Any

import minigan.functions as F
from minigan.backend import get_array_module

WALKS = ("slerp", "linear")


def between(a: Any, b: Any, t: float, kind: str = "slerp") -> Any:
    """The points (N, Z) at t from 0 to 1 on the ways from a to b: great circles, or straight lines if "linear"."""
    if kind == "linear":
        return (1 - t) * a + t * b
    xp = get_array_module(a)
    ab, aa, bb = ((x * y).sum(1, keepdims=True) for x, y in ((a, b), (a, a), (b, b)))
    angle = xp.arccos(xp.clip(ab / xp.sqrt(aa * bb), -1, 1))
    flat = xp.sin(angle) < 1e-4  # a and b point the same way, or opposite ones: a line
    bend = xp.where(flat, 1, angle)
    on_circle = (xp.sin((1 - t) * bend) * a + xp.sin(t * bend) * b) / xp.sin(bend)
    return xp.where(flat, between(a, b, t, "linear"), on_circle).astype(a.dtype)


def walk(points: Any, steps: int, kind: str = "slerp", closed: bool = False) -> Any:
    """`steps` points (N, steps, Z) on the ways through `points` (K, N, Z), from the first to the last one.

    A closed walk goes on to the first one, which it does not repeat.
    """
    k = len(points)
    xp, legs = get_array_module(points), k if closed else k - 1
    places = [legs * i / (steps if closed else max(steps - 1, 1)) for i in range(steps)]
    leg = [min(int(place), legs - 1) for place in places]
    return xp.stack([between(points[i], points[(i + 1) % k], place - i, kind) for i, place in zip(leg, places)], 1)


def truncated(z: Any, psi: float, n: int) -> Any:
    """Noise z (N, Z) whose first n columns, from N(0, 1), now are from N(0, 1) within -psi and psi.

    BigGAN (Brock et al. 2019, arXiv:1809.11096, section 3.1) draws numbers beyond again until they are within. This has
    that distribution, too, and moves each number inwards by itself: the same noise stays the same image.
    """
    edge = float(F.ndtr(get_array_module(z).asarray([-psi], "d")).array[0])
    share = F.ndtr(z[:, :n].astype("d")).array
    moved = z.copy()
    moved[:, :n] = F.ndtri(edge + (1 - 2 * edge) * share).array.clip(-psi, psi)
    return moved
