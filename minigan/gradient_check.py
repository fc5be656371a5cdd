"""Is a derivative right? Compare what `backward` says with what happens when the input is moved a little.

One random direction through all inputs at once costs four evaluations however large the arrays are, and a wrong
gradient shows in it almost surely (the trick of Chainer and of HIPS autograd). Only when that comparison fails is every
entry moved on its own, so that the message can name the worst one. Use float64: in float32 the differences drown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minigan.backend import get_array_module
from minigan.backends import cuda
from minigan.configuration import config, using_config
from minigan.core import Variable, as_array, as_variable, cast, grad
from minigan.core import sum as sum_all

# Positions, in units of eps, and weights of central differences: the one of fourth order for float64,
# f'(0) = (f(-1) - 8 f(-1/2) + 8 f(1/2) - f(1)) / (6 eps) + O(eps^4), and for coarser numbers, in which rounding
# is the larger error, f'(0) = (f(1) - f(-1)) / (2 eps) + O(eps^2).
FINE = ((-1.0, 1 / 6), (-0.5, -8 / 6), (0.5, 8 / 6), (1.0, -1 / 6))
COARSE = ((-1.0, -1 / 2), (1.0, 1 / 2))


class NondifferentiableError(Exception):
    """The function has a kink or a jump within eps of the point where its derivative was asked for."""


def numerical_grad(
    f: Callable[[], Sequence[Any]], inputs: Sequence[Any], grad_outputs: Sequence[Any], eps: float = 1e-3,
    detect_nondifferentiable: bool = False, diff_atol: float = 0.0, diff_rtol: float = 1e-2,
    center_outputs: Sequence[Any] | None = None,
) -> tuple[Any, ...]:  # fmt: skip
    """Gradient of sum_k <grad_outputs[k], f()[k]> by each entry of `inputs`, from central differences.

    `f` takes no argument and reads the arrays in `inputs`, whose entries are moved in place by up to `eps` and put
    back. A `None` in `grad_outputs` leaves that output out. With `detect_nondifferentiable` a kink raises
    `NondifferentiableError`: it is where a parabola misses the outputs by more than
    `diff_atol + diff_rtol * (max - min)`; `center_outputs`, what f() gives unmoved, saves one evaluation.
    Returns arrays of the shapes and dtypes of `inputs`. Raises `AssertionError` unless `eps` is positive.
    """
    if not eps > 0:
        raise AssertionError(f"numerical_grad: eps is {eps}; wanted a positive number")

    def along(array: Any, index: tuple[int, ...]) -> Callable[[float], list[Any]]:
        original = array[index].copy()

        def evaluate(t: float) -> list[Any]:
            array[index] = original + t
            outputs = _host(f())
            array[index] = original
            return outputs

        return evaluate

    gys = _host(grad_outputs)
    center = None if center_outputs is None else _host(center_outputs)
    gradients = []
    for i, x in enumerate(inputs):
        gx = np.empty(x.shape, np.float64)
        for index in np.ndindex(*x.shape):
            move = along(x, index)
            if detect_nondifferentiable:
                _refuse_kink(move, eps, diff_atol, diff_rtol, center, f"inputs[{i}]{_subscript(index)}", x.dtype)
            gx[index] = sum(weight * _inner(gys, move(t * eps)) for t, weight in _stencil([x])) / eps
        gradients.append(get_array_module(x).asarray(gx.astype(x.dtype)))
    return tuple(gradients)


def check_backward(
    func: Callable[..., Any], x_data: Any, y_grad: Any, params: Any = (), eps: float = 1e-3, atol: float = 1e-5,
    rtol: float = 1e-4, no_grads: Sequence[bool] | None = None, dtype: Any = None,
    detect_nondifferentiable: bool = False,
) -> None:  # fmt: skip
    """Raise `AssertionError`, naming the worst entry, unless `backward` of `func` agrees with numeric differences.

    `func` takes Variables and returns one or a tuple of them; `x_data` are its inputs and `y_grad` the gradients of its
    outputs (arrays or tuples of arrays; `None` if the only output has shape ()). `params` are Variables that `func`
    uses besides. `no_grads` says which inputs have no gradient (by default those not of floating dtype): theirs must be
    None, else `RuntimeError`. `dtype` casts all floating arrays first, and since what `func` holds besides keeps its
    own, `config.type_check` is off then. Raises `ValueError` if `y_grad` does not fit the outputs.
    """
    xs = _tuple(x_data)
    names = [f"inputs[{i}]" for i in range(len(xs))]
    problem = _Problem("check_backward", names, func, xs, _tuple(y_grad), _tuple(params), no_grads, dtype)
    problem.check(eps, atol, rtol, detect_nondifferentiable)


def check_double_backward(
    func: Callable[..., Any], x_data: Any, y_grad: Any, x_grad_grad: Any, params: Any = (), params_grad_grad: Any = (),
    eps: float = 1e-3, atol: float = 1e-4, rtol: float = 1e-3, no_grads: Sequence[bool] | None = None,
    dtype: Any = None, detect_nondifferentiable: bool = False,
) -> None:  # fmt: skip
    """Raise `AssertionError` unless the derivative of the gradient of `func` agrees with numeric differences.

    The gradient (x, gy) -> gx is itself a function; this is `check_backward` of it. `x_grad_grad` and
    `params_grad_grad` are the gradients of its outputs, one for each input that has a gradient (`None` entries stand
    for the others) and each of `params`. Only the second order is looked at: a `backward` that is wrong but
    consistently so passes here and fails in `check_backward`. `no_grads` is for `x_data`, or for those and `y_grad`.
    """
    xs, gys, ggxs, parameters = _tuple(x_data), _tuple(y_grad), _tuple(x_grad_grad), _tuple(params)
    given = [gy is not None for gy in gys]
    both = list(no_grads or ()) if no_grads is not None and len(no_grads) == len(xs) + sum(given) else None
    skipped = _no_grads(xs, no_grads if both is None else both[: len(xs)])
    if len(ggxs) not in (len(xs), len(xs) - sum(skipped)):
        raise ValueError(
            f"check_double_backward: x_grad_grad has {len(ggxs)} entries but there are {len(xs)} inputs, of which "
            f"{len(xs) - sum(skipped)} have a gradient; give one for each of either."
        )
    if len(ggxs) == len(xs):
        ggxs = tuple(g for g, skip in zip(ggxs, skipped, strict=True) if not skip)

    def gradient(*arguments: Variable) -> tuple[Variable, ...]:
        x, rest = arguments[: len(xs)], iter(arguments[len(xs) :])
        pairs = [(y, next(rest) if there else None) for y, there in zip(_tuple(func(*x)), given, strict=True)]
        if any(given):  # else the loss alone, and `grad` starts from 1
            pairs = [(y, gy) for y, gy in pairs if gy is not None]
        wanted = [v for v, skip in zip(x, skipped, strict=True) if not skip] + list(parameters)
        # One further node between the inputs and what is differentiated: an identity such as x -> x has no node at all.
        gxs = grad([y * 1 for y, _ in pairs], wanted, [gy for _, gy in pairs], enable_double_backprop=True)
        return tuple(as_variable(_zeros(v)) if g is None else g for v, g in zip(wanted, gxs, strict=True))

    names = [f"x_data[{i}]" for i in range(len(xs))] + [f"y_grad[{i}]" for i, there in enumerate(given) if there]
    problem = _Problem(
        "check_double_backward", names, gradient, xs + tuple(gy for gy in gys if gy is not None),
        ggxs + _tuple(params_grad_grad), parameters, both or [*skipped, *[False] * sum(given)], dtype,
    )  # fmt: skip
    problem.check(eps, atol, rtol, detect_nondifferentiable)


def assert_allclose(x: Any, y: Any, atol: float = 1e-5, rtol: float = 1e-4, verbose: bool = True) -> None:
    """Raise `AssertionError` unless two arrays (or Variables), from whatever device, are nearly equal."""
    x, y = (cuda.to_cpu(as_array(a)) for a in (x, y))
    np.testing.assert_allclose(x, y, atol=atol, rtol=rtol, verbose=verbose)


class _Target(NamedTuple):
    """A Variable that may be moved, its name in messages, and whether a gradient is expected of it."""

    name: str
    variable: Variable
    wanted: bool


class _Problem:
    """A function and one point: own copies of the inputs, which can be moved in place, and what to differentiate by."""

    def __init__(
        self, label: str, names: list[str], func: Any, xs: tuple, gys: tuple, params: tuple, no_grads: Any, dtype: Any
    ) -> None:
        if dtype is not None and np.dtype(dtype).kind != "f":
            raise ValueError(f"{label}: dtype is {np.dtype(dtype)}; wanted a floating one")
        self.label, self.func, self.dtype = label, func, dtype
        self.xs = [Variable(_copy(x, dtype)) for x in xs]
        self.gys = tuple(_copy(gy, dtype) for gy in gys)
        self.params = [(p, p.array, _copy(p.array, dtype)) for p in params]
        names = names + [f"params[{i}]" + (f" ({p.name})" if p.name else "") for i, p in enumerate(params)]
        wanted = [not skip for skip in _no_grads(xs, no_grads)] + [True] * len(params)
        self.targets = [_Target(*parts) for parts in zip(names, [*self.xs, *params], wanted, strict=True)]

    def check(self, eps: float, atol: float, rtol: float, detect: bool) -> None:
        """Compare; params get their own arrays back whatever happens."""
        try:
            for p, _, moving in self.params:
                p.cleargrad()
                p.array = moving
            with using_config("type_check", config.type_check and self.dtype is None):
                self.compare(self.gradients(), eps, atol, rtol, detect)
        finally:
            for p, original, _ in self.params:
                p.cleargrad()
                p.array = original

    def outputs(self) -> tuple[Variable, ...]:
        ys = _tuple(self.func(*self.xs))
        if self.dtype is not None:  # `func` may have casted
            ys = tuple(cast(y, self.dtype) if y.dtype.kind == "f" else y for y in ys)
        if len(self.gys) == 1 and self.gys[0] is None:
            if [y.shape for y in ys] != [()]:
                raise ValueError(
                    f"{self.label}: y_grad is None, which means a loss: one output of shape (). "
                    f"But func returned shapes {[y.shape for y in ys]}; give y_grad."
                )
            self.gys = (get_array_module(ys[0].array).ones((), ys[0].dtype),)
        got = [None if g is None else (g.shape, str(g.dtype)) for g in self.gys]
        want = [(y.shape, str(y.dtype)) for y in ys]
        if len(got) != len(want) or any(g not in (None, w) for g, w in zip(got, want, strict=True)):
            raise ValueError(f"{self.label}: gradients for outputs of (shape, dtype) {got}, but func returned {want}.")
        return ys

    def gradients(self) -> list[tuple[_Target, Any]]:
        """What `backward` gives for sum_k <gys[k], ys[k]>, as float64 on the host, where a gradient is wanted."""
        total: Any = None
        for y, gy in zip(self.outputs(), self.gys, strict=True):
            if gy is not None:
                term = cast(sum_all(y * gy), np.float64)
                total = term if total is None else total + term
        if total is not None and total.requires_grad:
            total.backward()
        result = []
        for target in self.targets:
            g = target.variable.grad
            if target.wanted:
                result.append((target, np.zeros(target.variable.shape) if g is None else _host([g])[0]))
            elif g is not None:
                raise RuntimeError(f"{self.label}: {target.name} was to have no gradient, but backward gave it one.")
        return result

    def compare(self, gradients: list[tuple[_Target, Any]], eps: float, atol: float, rtol: float, detect: bool) -> None:
        """Numeric against analytic slope along one random direction; entry by entry only if they differ."""
        arrays = [target.variable.array for target, _ in gradients]
        originals = [a.copy() for a in arrays]
        directions = [np.asarray(np.random.standard_normal(a.shape)) for a in arrays]
        length = np.sqrt(sum((d * d).sum() for d in directions)) or 1.0
        directions = [d / length for d in directions]

        def evaluate(t: float) -> tuple[list[Any], list[Any]]:
            for a, original, d in zip(arrays, originals, directions, strict=True):
                a[...] = original + get_array_module(a).asarray(t * d, dtype=a.dtype)
            xs, ys = _host(arrays), _host([y.array for y in self.outputs()])
            for a, original in zip(arrays, originals, strict=True):
                a[...] = original
            return xs, ys

        if detect:
            where = "the inputs, along a random direction"
            _refuse_kink(lambda t: evaluate(t)[1], eps, 0.0, rtol, None, where, _coarsest(arrays))
        numeric = analytic = 0.0
        for position, weight in _stencil(arrays):
            xs, ys = evaluate(position * eps)  # as far as the inputs really moved, in their rounded numbers
            numeric += weight * _inner(_host(self.gys), ys) / eps
            analytic += weight * _inner([g for _, g in gradients], xs) / eps
        if not abs(analytic - numeric) <= atol + rtol * abs(analytic):
            raise AssertionError(
                f"{self.label}: the gradient is wrong. Along a random direction backward gives {analytic:.9g}, numeric "
                f"differences give {numeric:.9g} (eps {eps:g}, atol {atol:g}, rtol {rtol:g}). "
                + self.worst_entry(gradients, arrays, eps, rtol)
            )

    def worst_entry(self, gradients: list[tuple[_Target, Any]], arrays: list[Any], eps: float, rtol: float) -> str:
        differences = _host(numerical_grad(lambda: [y.array for y in self.outputs()], arrays, self.gys, eps))
        found = []
        for (target, got), want in zip(gradients, differences, strict=True):
            if got.size:
                excess = np.nan_to_num(np.abs(got - want) - rtol * np.abs(got), nan=np.inf)
                index = np.unravel_index(np.argmax(excess), got.shape)
                found.append((excess[index], target, index, got[index], want[index]))
        _, target, index, got, want = max(found, key=lambda entry: entry[0])
        x = float(_host([target.variable.array])[0][index])
        return (
            f"Worst entry: {target.name}{_subscript(index)} (shape {target.variable.shape}, value {x:.6g}): "
            f"backward gives {got:.9g}, numeric differences give {want:.9g}."
        )


def _inner(gys: Sequence[Any], ys: Sequence[Any]) -> float:
    """sum_k <gys[k], ys[k]>, without those that are None."""
    return sum(float((y * gy).sum()) for y, gy in zip(ys, gys, strict=True) if gy is not None)


def _coarsest(arrays: Sequence[Any]) -> Any:
    return max((a.dtype for a in arrays), key=lambda dtype: np.finfo(dtype).eps, default=np.dtype(np.float64))


def _stencil(arrays: Sequence[Any]) -> tuple[tuple[float, float], ...]:
    return FINE if all(a.dtype == np.float64 for a in arrays) else COARSE


def _refuse_kink(
    evaluate: Callable[[float], list[Any]], eps: float, atol: float, rtol: float, center: list[Any] | None, where: str,
    dtype: Any,
) -> None:  # fmt: skip
    """Raise `NondifferentiableError` if no parabola goes through the outputs at five points around t = 0."""
    ts = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
    points = [center if t == 0 and center is not None else evaluate(t * eps) for t in ts]
    basis = np.stack([np.ones(5), ts, ts * ts], axis=1)
    residual = np.eye(5) - basis @ np.linalg.pinv(basis)
    for k, samples in enumerate(zip(*points, strict=True)):
        y = np.stack(samples).reshape(5, -1)
        finite = np.isfinite(y)
        y = np.where(finite.any(axis=0), y, 0)  # what is infinite or undefined everywhere says nothing about a kink
        miss = np.abs(residual @ y).max(axis=0)
        bad = ~(miss <= atol + rtol * (y.max(axis=0) - y.min(axis=0)) + 4 * np.finfo(dtype).eps * np.abs(y).max(axis=0))
        if bad.any():
            j = int(np.argmax(bad))
            raise NondifferentiableError(
                f"gradient_check: outputs[{k}] has a kink or a jump within eps = {eps:g} of {where}: at steps "
                f"{(ts * eps).tolist()} its entry {j} is {y[:, j].tolist()}; choose inputs away from it."
            )


def _host(arrays: Sequence[Any]) -> list[Any]:
    """Copies as float64 NumPy arrays, so that sums of float16 neither overflow nor round."""

    def host(a: Any) -> Any:
        if a is None:
            return None
        a = as_array(a)
        return np.array(a.get() if hasattr(a, "get") else a, dtype=np.float64)

    return [host(a) for a in arrays]


def _copy(a: Any, dtype: Any) -> Any:
    """A C-ordered copy that can be moved in place, cast to `dtype` if it is floating; None stays None."""
    if a is None:
        return None
    a = as_array(a)
    xp = get_array_module(a)
    return xp.array(a, dtype=dtype if dtype is not None and a.dtype.kind == "f" else a.dtype, order="C")


def _zeros(v: Variable) -> Any:
    return get_array_module(v.array).zeros_like(v.array)


def _no_grads(xs: tuple, no_grads: Sequence[bool] | None) -> list[bool]:
    if no_grads is None:
        return [x.dtype.kind != "f" for x in xs]
    if len(no_grads) != len(xs):
        raise ValueError(f"gradient_check: no_grads has {len(no_grads)} entries for {len(xs)} inputs; give one each.")
    return [bool(skip) for skip in no_grads]


def _tuple(x: Any) -> tuple:
    if isinstance(x, list):
        return tuple(x)
    return x if isinstance(x, tuple) else (x,)


def _subscript(index: Sequence[Any]) -> str:
    return "[" + ", ".join(str(int(i)) for i in index) + "]" if len(index) else ""
