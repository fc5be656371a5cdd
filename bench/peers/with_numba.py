"""minigan with its loops compiled by numba (``MINIGAN_NUMBA=1``), in the cases where that makes a difference."""

import os
from functools import wraps

import numba

os.environ["MINIGAN_NUMBA"] = "1"

import with_minigan  # noqa: E402

CASES = "convolution", "deconvolution", "elementwise", "gan_step", "mlp_step", "training"
VERSION = f"{with_minigan.VERSION}, {numba.__version__}"


def __getattr__(name):
    """What with_minigan has of that name; of a case's variants minigan's own, by this library's name."""
    found = getattr(with_minigan, name)
    if not callable(found):
        return found

    @wraps(found)
    def renamed(*args, **kwargs):
        made = found(*args, **kwargs)
        if not isinstance(made, dict):
            return made
        return {n.replace("minigan", "numba"): call for n, call in made.items() if n.startswith("minigan")}

    return renamed
