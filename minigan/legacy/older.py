"""What was taken away from under old scripts, put back when asked: by NumPy, by Pillow, by Chainer 2.

Each is a function, a flag of the runner and a word of the environment variable ``MINIGAN_LEGACY``. Nothing is replaced
that exists. `hint` tells from an error which of them would have helped.
"""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import re
import sys
import types
from typing import Any

import numpy

from minigan import initializers
from minigan.configuration import using_config
from minigan.core import Variable
from minigan.legacy import alias
from minigan.link import Link
from minigan.optimizer import Optimizer

# -- NumPy: names removed in 1.24 (the first line) and in 2.0 to 2.4, each with its value ------------------------------

_BUILTINS = {name: getattr(builtins, name) for name in ("bool", "int", "float", "complex", "object", "str")}
_RENAMED = """
    Inf:inf Infinity:inf NaN:nan infty:inf PINF:inf float_:float64 longfloat:longdouble singlecomplex:complex64
    cfloat:complex128 complex_:complex128 clongfloat:clongdouble longcomplex:clongdouble string_:bytes_ unicode_:str_
    alltrue:all cumproduct:cumprod product:prod sometrue:any round_:round row_stack:vstack trapz:trapezoid mat:asmatrix
"""
NUMPY: dict[str, Any] = {
    **_BUILTINS, "long": int, "unicode": str,
    **{old: getattr(numpy, new) for old, new in (p.split(":") for p in _RENAMED.split()) if hasattr(numpy, new)},
    "NINF": -numpy.inf, "PZERO": 0.0, "NZERO": -0.0, "issubclass_": issubclass, "safe_eval": ast.literal_eval,
    "asscalar": lambda a: a.item(),
    "asfarray": lambda a, dtype=numpy.float64: numpy.asarray(a, dtype),
    "alen": lambda a: len(numpy.array(a, ndmin=1)),
    "rank": numpy.ndim,
    "msort": lambda a: numpy.sort(a, axis=0),
    "in1d": lambda a, b, **kwargs: numpy.isin(numpy.ravel(a), b, **kwargs),
    "sctypes": {
        "int": [numpy.int8, numpy.int16, numpy.int32, numpy.int64],
        "uint": [numpy.uint8, numpy.uint16, numpy.uint32, numpy.uint64],
        "float": [numpy.float16, numpy.float32, numpy.float64, numpy.longdouble],
        "complex": [numpy.complex64, numpy.complex128, numpy.clongdouble],
        "others": [bool, object, bytes, str, numpy.void],
    },
}  # fmt: skip


def numpy1() -> None:
    """Put back the names that NumPy 1.24 and 2.x removed: ``np.float``, ``np.int``, ``np.product`` ..."""
    for name, value in NUMPY.items():
        vars(numpy).setdefault(name, value)


# -- Pillow: names removed in 10 ---------------------------------------------------------------------------------------

_PILLOW = {"ANTIALIAS": "LANCZOS", "LINEAR": "BILINEAR", "CUBIC": "BICUBIC"}


def pillow9() -> None:
    """Put back what Pillow 10 removed: ``Image.ANTIALIAS``, ``LINEAR``, ``CUBIC``, ``textsize`` and ``getsize``."""
    from PIL import Image, ImageDraw, ImageFont

    def textsize(self: Any, text: str, font: Any = None, **kwargs: Any) -> tuple[int, int]:
        return tuple(int(side) for side in self.textbbox((0, 0), text, font, **kwargs)[2:])  # type: ignore[return-value]

    def getsize(self: Any, text: str, **kwargs: Any) -> tuple[int, int]:
        return tuple(int(side) for side in self.getbbox(text, **kwargs)[2:])  # type: ignore[return-value]

    news = [(Image, old, getattr(Image, new)) for old, new in _PILLOW.items()]
    for place, name, value in [
        *news, (ImageDraw.ImageDraw, "textsize", textsize), (ImageFont.FreeTypeFont, "getsize", getsize),
        (ImageFont.ImageFont, "getsize", getsize),
    ]:  # fmt: skip
        if not hasattr(place, name):
            setattr(place, name, value)


# -- Chainer 1: arguments that Chainer 2 took away, accepted by `chainer`'s names (minigan's own stay as they are) -----


@functools.cache
def _say(text: str) -> None:
    """Once for each text."""
    print(f"minigan.legacy --chainer1: {text}", file=sys.stderr)


def _older_class(today: Any, **members: Any) -> Any:
    """A subclass of that name with other members; instances and subclasses of today's class count as its own."""

    def instance(cls: Any, x: Any) -> bool:
        return isinstance(x, today) if cls is older else type.__instancecheck__(cls, x)

    def subclass(cls: Any, kind: Any) -> bool:
        return issubclass(kind, today) if cls is older else type.__subclasscheck__(cls, kind)

    meta = type("_Older", (type(today),), {"__instancecheck__": instance, "__subclasscheck__": subclass})
    older = meta(today.__name__, (today,), {"__doc__": today.__doc__, "__module__": today.__module__, **members})
    return older


def _train(kwargs: dict[str, Any]) -> Any:
    """The context that the arguments ``train=``, ``test=`` ask for; they and ``use_cudnn=`` are taken out."""
    kwargs.pop("use_cudnn", None)
    for name in ("train", "test"):
        if name in kwargs:
            _say(f"{name}= of a call sets chainer.config.train for this call")
            value = bool(kwargs.pop(name))
            return using_config("train", value if name == "train" else not value)
    return using_config("type_check", True)  # nothing to change


def _older_variable(today: Any) -> Any:
    def init(self: Any, data: Any = None, volatile: Any = False, name: Any = None, grad: Any = None, **kw: Any) -> None:
        if volatile in (True, "on"):
            _say("volatile=True is requires_grad=False: no gradient reaches this variable; the numbers are the same")
            kw["requires_grad"] = False
        today.__init__(self, data, name=name, grad=grad, **kw)

    return _older_class(today, __init__=init)


def _older_link(today: Any) -> Any:
    known = inspect.signature(today.__init__).parameters

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        for name in ("use_cudnn", "deterministic"):
            kwargs.pop(name, None) if name not in known else None
        if "wscale" in kwargs and "initialW" in known:
            _say("wscale=s draws W with the standard deviation s / sqrt(fan in), unless initialW is given")
            scale = kwargs.pop("wscale")
            if kwargs.get("initialW") is None:
                kwargs["initialW"] = initializers.LeCunNormal(scale)
        if "bias" in kwargs and "initial_bias" in known and "bias" not in known:
            _say("bias=b is initial_bias=b")
            kwargs.setdefault("initial_bias", kwargs.pop("bias"))
        today.__init__(self, *args, **kwargs)

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        with _train(kwargs):
            return today.__call__(self, *args, **kwargs)

    return _older_class(today, __init__=init, __call__=call)


def _older_optimizer(today: Any) -> Any:
    def zero_grads(self: Any) -> None:
        _say("optimizer.zero_grads() fills the gradients of its target with zeros")
        self.target.zerograds()

    return _older_class(today, zero_grads=zero_grads)


def _older_function(today: Any) -> Any:
    @functools.wraps(today)
    def call(*args: Any, **kwargs: Any) -> Any:
        with _train(kwargs):
            return today(*args, **kwargs)

    return call


@functools.cache
def _older(value: Any) -> Any:
    if value is Variable:
        return _older_variable(value)
    if isinstance(value, type) and issubclass(value, Link):
        return _older_link(value)
    if isinstance(value, type) and issubclass(value, Optimizer):
        return _older_optimizer(value)
    return _older_function(value) if isinstance(value, types.FunctionType) else value


def _adapt(path: str, name: str, value: Any) -> Any:
    if value is alias.MISSING and path == "chainer.functions" and name in _LAYERS:
        _say("F.Convolution2D and the like are the links of that name")
        return alias.find("chainer.links", name)
    ours = path.startswith(("chainer.functions", "chainer.links", "chainer.optimizers"))
    return _older(value) if ours or value is Variable else value


def chainer1() -> None:
    """Accept Chainer 1's ``volatile=``, ``test=``, ``train=``, ``wscale=``, ``bias=``, ``use_cudnn=``, ``zero_grads``.

    The first of each that is used says on standard error what it did.
    """
    if _adapt not in alias.adapters:
        alias.adapters.append(_adapt)


_LAYERS = "BatchNormalization Bilinear Convolution2D Deconvolution2D EmbedID Inception Linear Parameter PReLU".split()
_CHAINER1 = "volatile|wscale|zero_grads|use_cudnn|(?<=argument ')(?:test|train|bias)|test(?==)"
_CAME_ALONG = {"six": "six", "google": "protobuf", "filelock": "filelock", "pkg_resources": "setuptools"}
FLAGS = {"numpy1": numpy1, "pillow9": pillow9, "chainer1": chainer1}


def hint(error: BaseException) -> str | None:
    """Say which flag would have helped, None if none would."""
    text = str(error)
    if isinstance(error, ModuleNotFoundError) and (package := _CAME_ALONG.get(str(error.name).partition(".")[0])):
        return f"minigan.legacy: Chainer brought the package {package} along, minigan does not; install {package}"
    if match := re.search(r"numpy' has no attribute '(\w+)'|`np\.(\w+)` was", text):
        name = match[1] or match[2]
        flag, what = ("numpy1", f"NumPy removed np.{name}") if name in NUMPY else (None, "")
    elif match := re.search(r"has no attribute '(ANTIALIAS|LINEAR|CUBIC|textsize|getsize)'", text):
        flag, what = "pillow9", f"Pillow removed {match[1]}"
    elif match := re.search(rf"(?:argument '?|no attribute '|\b)({_CHAINER1})\b", text):
        flag, what = "chainer1", f"{match[1]} was Chainer 1's"
    elif match := re.search(rf"no chainer.functions.({'|'.join(_LAYERS)}),", text):
        flag, what = "chainer1", f"F.{match[1]} was Chainer 1's"
    else:
        return None
    if flag is None or not isinstance(error, (AttributeError, ImportError, TypeError, ValueError)):
        return None
    return (
        f"minigan.legacy: {what}; `python -m minigan.legacy --{flag} SCRIPT` (or MINIGAN_LEGACY={flag} in the "
        "environment) puts it back"
    )
