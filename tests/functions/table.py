"""The test table: every public function of F, with inputs and an answer from somewhere else.

A row is `row(name, inputs, answer, **arguments)`. `inputs` are makers, called with a random generator; `answer` gets
the same float64 arrays and the same arguments and computes the result in plain NumPy, by the formula or by loops that
nobody can doubt. test_every_function.py does the rest. Inputs stay away from kinks by more than the step of the numeric
derivative.
"""

from typing import Any, NamedTuple

import numpy as np

import minigan.functions as F
from minigan.configuration import using_config


def is_float(x):
    return isinstance(x, np.ndarray) and x.dtype.kind == "f"


class Row(NamedTuple):
    name: str
    inputs: tuple
    answer: Any
    call: Any  # None: F.<name>
    arguments: dict
    differentiable: bool
    note: str

    def function(self, *xs):
        """F's answer, always a tuple; arrays among the arguments (weights, masks) follow the inputs' dtype."""
        arguments = {k: v.astype(xs[0].dtype) if is_float(v) else v for k, v in self.arguments.items()}
        ys = (self.call or getattr(F, self.name))(*xs, **arguments)
        return ys if isinstance(ys, tuple) else (ys,)

    def expected(self, *xs):
        ys = self.answer(*xs, **self.arguments)
        return ys if isinstance(ys, tuple) else (ys,)

    def __str__(self):
        arguments = ",".join(f"{k}={v}" for k, v in self.arguments.items() if not isinstance(v, np.ndarray))
        return "-".join(part for part in (self.name, self.note, arguments.replace(" ", "")) if part)


def row(name, inputs, answer, call=None, differentiable=True, note="", **arguments):
    inputs = inputs if isinstance(inputs, tuple) else (inputs,)
    return Row(name, inputs, answer, call, arguments, differentiable, note)


# Makers of inputs ------------------------------------------------------------------------------------------------


def normal(*shape):
    return lambda rng: np.asarray(rng.standard_normal(shape))


def positive(*shape):
    return lambda rng: np.asarray(rng.uniform(0.5, 2.0, shape))


def off_zero(*shape):
    """Normal, but at least 0.1 from 0, where relu and its like have their kink."""
    return lambda rng: (lambda x: np.asarray(x + 0.1 * np.sign(x)))(rng.standard_normal(shape))


def distinct(*shape, shift=0.0):
    """Every value once, 1/8 apart and offset by `shift`: no ties, exactly representable in float16."""
    size = int(np.prod(shape))
    return lambda rng: (rng.permutation(size) - size // 2).reshape(shape) / 8.0 + 1 / 16 + shift


def labels(low, high, *shape):
    return lambda rng: rng.randint(low, high, shape).astype(np.int32)


def fixed(value, dtype=np.float64):
    return lambda rng: np.array(value, dtype)


# Independent answers ---------------------------------------------------------------------------------------------


def pair(x):
    return x if isinstance(x, tuple) else (x, x)


def convolve(x, W, b=None, stride=1, pad=0, cover_all=False, dilate=1, groups=1):
    (sy, sx), (ph, pw), (dy, dx) = pair(stride), pair(pad), pair(dilate)
    N, C, H, Wd = x.shape
    O, _, kh, kw = W.shape
    more = (sy - 1, sx - 1) if cover_all else (0, 0)
    x = np.pad(x, ((0, 0), (0, 0), (ph, ph + more[0]), (pw, pw + more[1])))
    out_h = (H + 2 * ph + more[0] - (kh - 1) * dy - 1) // sy + 1
    out_w = (Wd + 2 * pw + more[1] - (kw - 1) * dx - 1) // sx + 1
    y = np.zeros((N, O, out_h, out_w))
    for o in range(O):
        g = o // (O // groups)
        channels = slice(g * (C // groups), (g + 1) * (C // groups))
        for i in range(out_h):
            for j in range(out_w):
                window = x[:, channels, i * sy : i * sy + dy * kh : dy, j * sx : j * sx + dx * kw : dx]
                y[:, o, i, j] = (window * W[o]).sum(axis=(1, 2, 3))
    return y if b is None else y + b.reshape(1, -1, 1, 1)


def deconvolve(x, W, b=None, stride=1, pad=0, outsize=None, dilate=1, groups=1):
    (sy, sx), (ph, pw), (dy, dx) = pair(stride), pair(pad), pair(dilate)
    N, C, H, Wd = x.shape
    _, per_group, kh, kw = W.shape
    out_h, out_w = outsize or (sy * (H - 1) + dy * (kh - 1) + 1 - 2 * ph, sx * (Wd - 1) + dx * (kw - 1) + 1 - 2 * pw)
    y = np.zeros((N, per_group * groups, out_h, out_w))
    for c in range(C):
        g = c // (C // groups)
        for i, j, a, e in np.ndindex(H, Wd, kh, kw):
            v, u = i * sy + a * dy - ph, j * sx + e * dx - pw
            if 0 <= v < out_h and 0 <= u < out_w:
                for o in range(per_group):
                    y[:, g * per_group + o, v, u] += x[:, c, i, j] * W[c, o, a, e]
    return y if b is None else y + b.reshape(1, -1, 1, 1)


def pool(reduce, filler):
    def answer(x, ksize, stride=None, pad=0, cover_all=False):
        (kh, kw), (sy, sx), (ph, pw) = pair(ksize), pair(ksize if stride is None else stride), pair(pad)
        more = (sy - 1, sx - 1) if cover_all else (0, 0)
        out_h = (x.shape[2] + 2 * ph - kh + more[0]) // sy + 1
        out_w = (x.shape[3] + 2 * pw - kw + more[1]) // sx + 1
        x = np.pad(x, ((0, 0), (0, 0), (ph, ph + more[0]), (pw, pw + more[1])), constant_values=filler)
        windows = [
            [reduce(x[:, :, i * sy : i * sy + kh, j * sx : j * sx + kw], axis=(2, 3)) for j in range(out_w)]
            for i in range(out_h)
        ]
        return np.array(windows).transpose(2, 3, 0, 1)

    return answer


def max_pool(x, ksize, cover_all=True, **arguments):
    return pool(np.max, -np.inf)(x, ksize, cover_all=cover_all, **arguments)


def unpool(x, ksize, stride=None, pad=0, outsize=None, cover_all=True):
    k, s = ksize, ksize if stride is None else stride
    size = [s * (n - 1) + k - 2 * pad - (s - 1 if cover_all else 0) for n in x.shape[2:]]
    y = np.zeros(x.shape[:2] + tuple(outsize or size))
    for i, j, a, e in np.ndindex(*x.shape[2:], k, k):
        v, u = i * s + a - pad, j * s + e - pad
        if 0 <= v < y.shape[2] and 0 <= u < y.shape[3]:
            y[:, :, v, u] += x[:, :, i, j]
    return y


def softmax(x, axis=1):
    e = np.exp(x)
    return e / e.sum(axis=axis, keepdims=True)


def normalize(x, gamma, beta, eps=2e-5, axis=None):
    axis = axis or tuple(a for a in range(x.ndim) if a != 1)
    return standardize(x, gamma, beta, x.mean(axis=axis), x.var(axis=axis), eps, axis)


def standardize(x, gamma, beta, mean, var, eps=2e-5, axis=None):
    axis = axis or tuple(a for a in range(x.ndim) if a != 1)
    gamma, beta, mean, var = (np.expand_dims(v, axis) for v in (gamma, beta, mean, var))
    return gamma * (x - mean) / np.sqrt(var + eps) + beta


def binary_cross_entropy(x, t, normalize=True, reduce="mean"):
    p = 1 / (1 + np.exp(-x))
    loss = np.where(t == -1, 0.0, -np.where(t == 1, np.log(p), np.log(1 - p)))
    return loss if reduce == "no" else loss.sum() / ((t != -1).sum() if normalize else len(x))


def cross_entropy(x, t, normalize=True, class_weight=None, ignore_label=-1, reduce="mean", **rest):
    loss = np.zeros(t.shape)
    for i in np.ndindex(*t.shape):
        scores = x[(i[0], slice(None), *i[1:])]
        if t[i] != ignore_label:
            weight = 1.0 if class_weight is None else class_weight[t[i]]
            loss[i] = -weight * np.log(np.exp(scores[t[i]]) / np.exp(scores).sum())
    return loss if reduce == "no" else loss.sum() / ((t != ignore_label).sum() if normalize else len(x))


def right_answers(y, t, ignore_label=None):
    pairs = [(np.argmax(y[(i[0], slice(None), *i[1:])]), t[i]) for i in np.ndindex(*t.shape) if t[i] != ignore_label]
    return np.mean([guess == truth for guess, truth in pairs]) if pairs else np.array(0.0)


def linear(x, W, b=None, n_batch_axes=1):
    y = np.zeros(x.shape[:n_batch_axes] + (len(W),))
    for i in np.ndindex(*y.shape):
        y[i] = (x[i[:-1]].ravel() * W[i[-1]]).sum() + (0.0 if b is None else b[i[-1]])
    return y


def in_test_mode(function):
    def call(*xs, **arguments):
        with using_config("train", False):
            return function(*xs, **arguments)

    return call


def swap(a, wanted):
    return np.swapaxes(a, -1, -2) if wanted and a.ndim > 1 else a


def multiply(a, b, transa=False, transb=False):
    return np.matmul(swap(a, transa), swap(b, transb))


def weighted(x, axis=None, weights=None, keepdims=False):
    return np.mean(x, axis=axis, keepdims=keepdims)


def many(function):
    """A function of a list called as a function of its members, so that each is an input."""
    return lambda *xs, **arguments: function(xs, **arguments)


def soft_cross_entropy(x, soft_target_loss="cross-entropy", reduce="mean"):
    entropy = (SOFT * np.log(SOFT)).sum(axis=1) if soft_target_loss == "kl-divergence" else 0.0
    loss = entropy - (SOFT * np.log(softmax(x))).sum(axis=1)
    return loss if reduce == "no" else loss.mean()


def against_soft_targets(x, **arguments):
    return F.softmax_cross_entropy(x, SOFT.astype(x.dtype), **arguments)


SOFT = np.array([[0.5, 0.25, 0.25], [0.125, 0.75, 0.125]])
MASK = np.array([[0.0, 2.0, 2.0], [2.0, 0.0, 2.0]])
ROWS = [
    # activation
    row("relu", off_zero(2, 3, 2), lambda x: np.where(x > 0, x, 0)),
    row("leaky_relu", off_zero(2, 3), lambda x: np.where(x > 0, x, 0.2 * x)),
    row("leaky_relu", off_zero(2, 3, 2, 2), lambda x, slope: np.where(x > 0, x, slope * x), slope=0.01),
    row("sigmoid", normal(2, 3, 2), lambda x: 1 / (1 + np.exp(-x))),
    row("tanh", normal(2, 3, 2), lambda x: (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x))),
    row("softplus", normal(2, 3), lambda x: np.log(1 + np.exp(x))),
    row("softplus", normal(2, 3), lambda x, beta: np.log(1 + np.exp(beta * x)) / beta, beta=2.0),
    row("softmax", normal(2, 3, 2), softmax),
    row("softmax", normal(2, 3), softmax, axis=-2),
    row("log_softmax", normal(2, 3, 2), lambda x: np.log(softmax(x))),
    row("log_softmax", normal(2, 3), lambda x, axis: np.log(softmax(x, axis)), axis=0),
    row("elu", off_zero(2, 3), lambda x: np.where(x > 0, x, np.exp(x) - 1)),
    row("elu", off_zero(2, 3, 2), lambda x, alpha: np.where(x > 0, x, alpha * (np.exp(x) - 1)), alpha=0.5),
    # array
    row("broadcast", (normal(2, 1), normal(3)), lambda *xs: tuple(np.broadcast_arrays(*xs))),
    row("broadcast", normal(2), lambda x: x, note="one"),
    row("broadcast_to", normal(3, 1), np.broadcast_to, shape=(2, 3, 4)),
    row("cast", normal(2, 3), lambda x, typ: x, typ=np.float64),
    row("concat", (normal(2, 1, 2), normal(2, 3, 2)), lambda *xs: np.concatenate(xs, 1), many(lambda xs: F.concat(xs))),
    row("concat", (normal(2, 3), normal(1, 3), normal(4, 3)), many(np.concatenate),
        many(lambda xs, axis: F.concat(xs, axis)), axis=-2),
    row("expand_dims", normal(2, 3), np.expand_dims, axis=1),
    row("expand_dims", normal(2, 3), np.expand_dims, axis=-1),
    row("flatten", normal(2, 3, 2), lambda x: np.array(x.tolist()).reshape(-1)),
    row("get_item", normal(4, 3, 2), lambda x, slices: x[slices], slices=(slice(None, None, -2), Ellipsis, None, 1)),
    row("get_item", normal(3, 2), lambda x, slices: x[slices], note="repeated", slices=[0, 2, 0]),
    row("get_item", normal(2, 2), lambda x, slices: x[slices], note="mask",
        slices=np.array([[True, False], [True, True]])),
    row("reshape", normal(2, 3, 2), lambda x, shape: np.array(x.tolist()).reshape(shape), shape=(3, -1)),
    row("split_axis", normal(2, 6), lambda x, indices_or_sections, axis: tuple(np.split(x, indices_or_sections, axis)),
        indices_or_sections=3, axis=1),
    row("split_axis", normal(5, 2), lambda x, indices_or_sections, axis: (x[:1], x[1:4], x[4:]),
        indices_or_sections=[1, 4], axis=-2),
    row("squeeze", normal(2, 1, 3, 1), lambda x: x[:, 0, :, 0]),
    row("squeeze", normal(2, 1, 3, 1), lambda x, axis: x[..., 0], axis=-1),
    row("stack", (normal(2, 3), normal(2, 3)), many(np.stack), many(lambda xs, axis: F.stack(xs, axis)), axis=-1),
    row("sum_to", normal(2, 3, 4), lambda x, shape: x.sum(axis=(0, 2))[:, None], shape=(3, 1)),
    row("transpose", normal(2, 3, 4), lambda x: np.einsum("abc->cba", x)),
    row("transpose", normal(2, 3, 4), lambda x, axes: np.einsum("abc->cab", x), axes=(-1, 0, 1)),
    # connection
    row("linear", (normal(3, 2, 2), normal(5, 4), normal(5)), linear),
    row("linear", (normal(2, 3, 4), normal(5, 4)), linear, n_batch_axes=2),
    row("convolution_2d", (normal(2, 2, 4, 5), normal(3, 2, 3, 2), normal(3)), convolve),
    row("convolution_2d", (normal(2, 2, 5, 4), normal(3, 2, 3, 3)), convolve, stride=2, pad=1),
    row("convolution_2d", (normal(1, 2, 6, 5), normal(2, 2, 2, 3), normal(2)), convolve, stride=(3, 2), pad=(1, 0),
        cover_all=True),
    row("convolution_2d", (normal(2, 2, 6, 5), normal(2, 2, 3, 2), normal(2)), convolve, pad=1, dilate=(2, 1)),
    row("convolution_2d", (normal(2, 4, 4, 4), normal(6, 2, 3, 3), normal(6)), convolve, stride=2, pad=1, groups=2),
    row("convolution_2d", (normal(2, 3, 4, 4), normal(2, 3, 1, 1)), convolve, note="1x1"),
    row("convolution_2d", (normal(2, 3, 4, 4), normal(2, 3, 4, 4), normal(2)), convolve, note="whole"),
    row("convolution_2d", (normal(1, 2, 5, 5), normal(2, 2, 2, 2)), convolve, note="leftover", stride=2),
    row("deconvolution_2d", (normal(2, 3, 2, 3), normal(3, 2, 3, 2), normal(2)), deconvolve),
    row("deconvolution_2d", (normal(2, 2, 3, 2), normal(2, 3, 4, 4)), deconvolve, stride=2, pad=1),
    row("deconvolution_2d", (normal(1, 2, 2, 3), normal(2, 2, 3, 3), normal(2)), deconvolve, stride=2, pad=1,
        outsize=(4, 6)),
    row("deconvolution_2d", (normal(2, 2, 3, 3), normal(2, 2, 2, 3), normal(2)), deconvolve, stride=(1, 2),
        dilate=(2, 1)),
    row("deconvolution_2d", (normal(2, 4, 2, 2), normal(4, 3, 3, 3), normal(6)), deconvolve, stride=2, pad=1, groups=2),
    row("deconvolution_2d", (normal(2, 3, 1, 1), normal(3, 2, 4, 4), normal(2)), deconvolve, note="project"),
    # evaluation
    row("accuracy", (distinct(4, 3), labels(0, 3, 4)), right_answers, differentiable=False),
    row("accuracy", (distinct(3, 3, 2), labels(0, 3, 3, 2)), right_answers, differentiable=False, ignore_label=0),
    # loss
    row("sigmoid_cross_entropy", (normal(4, 3), labels(-1, 2, 4, 3)), binary_cross_entropy),
    row("sigmoid_cross_entropy", (normal(4, 3), labels(-1, 2, 4, 3)), binary_cross_entropy, normalize=False),
    row("sigmoid_cross_entropy", (normal(4), labels(-1, 2, 4)), binary_cross_entropy, reduce="no"),
    row("softmax_cross_entropy", (normal(4, 3), labels(0, 3, 4)), cross_entropy),
    row("softmax_cross_entropy", (normal(4, 3), labels(-1, 3, 4)), cross_entropy, normalize=False),
    row("softmax_cross_entropy", (normal(4, 3), labels(0, 3, 4)), cross_entropy, ignore_label=1,
        enable_double_backprop=True),
    row("softmax_cross_entropy", (normal(2, 3, 2, 2), labels(-1, 3, 2, 2, 2)), cross_entropy, reduce="no"),
    row("softmax_cross_entropy", (normal(4, 3), labels(-1, 3, 4)), cross_entropy, note="class_weight",
        class_weight=np.array([1.0, 2.0, 0.5])),
    row("softmax_cross_entropy", normal(2, 3), soft_cross_entropy, against_soft_targets, note="soft"),
    row("softmax_cross_entropy", normal(2, 3), soft_cross_entropy, against_soft_targets, note="soft", reduce="no",
        soft_target_loss="kl-divergence"),
    row("mean_squared_error", (normal(2, 3), normal(2, 3)), lambda x, y: np.mean((x - y) ** 2)),
    row("mean_absolute_error", (distinct(2, 3), distinct(2, 3, shift=1 / 32)), lambda x, y: np.mean(np.abs(x - y))),
    # math
    row("absolute", off_zero(2, 3), lambda x: np.where(x > 0, x, -x)),
    row("add", (normal(2, 3), normal(3)), lambda a, b: a + b),
    row("add", (normal(2, 3), normal(2, 1), normal(3)), lambda a, b, c: a + b + c),
    row("average", normal(2, 3, 4), weighted),
    row("average", normal(2, 3, 4), weighted, axis=(0, -1), keepdims=True),
    row("average", normal(2, 3), weighted, axis=()),
    row("average", (normal(2, 3, 2), positive(3)), lambda x, w: np.average(x, 1, w), lambda x, w: F.average(x, 1, w),
        note="weights"),
    row("average", (normal(2, 3), positive(2, 3)), lambda x, w: (x * w).sum() / w.sum(),
        lambda x, w: F.average(x, weights=w), note="weights-everywhere"),
    row("clip", distinct(3, 4), lambda x, x_min, x_max: np.where(x < x_min, x_min, np.where(x > x_max, x_max, x)),
        x_min=-0.25, x_max=0.375),
    row("clip", distinct(3, 4), lambda x, x_min, x_max: np.where(x > x_max, x_max, x), x_min=None, x_max=0.0),
    row("exp", normal(2, 3), np.exp),
    row("log", positive(2, 3), np.log),
    row("matmul", (normal(2, 3), normal(3, 4)), multiply),
    row("matmul", (normal(3, 2), normal(4, 3)), multiply, transa=True, transb=True),
    row("matmul", (normal(2, 1, 2, 3), normal(4, 2, 3)), multiply, transb=True),
    row("matmul", (normal(3), normal(3)), multiply, note="1-1"),
    row("matmul", (normal(3), normal(2, 3, 2)), multiply, note="1-3"),
    row("matmul", (normal(2, 3), normal(3)), multiply, note="2-1"),
    row("max", distinct(2, 3, 2), lambda x: np.array(sorted(x.ravel().tolist())[-1])),
    row("max", distinct(2, 3, 2), lambda x, axis, keepdims: np.max(x, axis, keepdims=keepdims), axis=(0, -1),
        keepdims=True),
    row("maximum", (distinct(2, 3), distinct(3, shift=1 / 32)), lambda a, b: np.where(a > b, a, b)),
    row("mean", normal(2, 3), weighted, axis=0),
    row("min", distinct(2, 3, 2), lambda x, axis: -np.max(-x, axis), axis=-2),
    row("minimum", (distinct(2, 3), distinct(2, 1, shift=1 / 32)), lambda a, b: np.where(a < b, a, b)),
    row("sqrt", positive(2, 3), lambda x: x**0.5),
    row("square", normal(2, 3), lambda x: x**2),
    row("sum", normal(2, 3, 4), lambda x: np.array(sum(x.ravel().tolist()))),
    row("sum", normal(2, 3, 4), np.sum, axis=(0, -1)),
    row("sum", normal(2, 3), np.sum, axis=-1, keepdims=True),
    row("sum", normal(2, 3), np.sum, axis=()),
    row("sum", normal(), lambda x: x, note="0-d"),
    # noise
    row("dropout", normal(2, 3), lambda x, ratio, mask: x * mask, ratio=0.5, mask=MASK),
    row("dropout", normal(2, 3), lambda x: x, in_test_mode(lambda x: F.dropout(x)), note="test-mode"),
    # normalization
    row("batch_normalization", (normal(5, 3), normal(3), normal(3)), normalize),
    row("batch_normalization", (normal(2, 3, 2, 3), normal(3), normal(3)), normalize, eps=0.1),
    row("batch_normalization", (normal(4, 2, 3), normal(2, 3), normal(2, 3)), normalize, eps=0.1, axis=(0,)),
    row("fixed_batch_normalization", (normal(2, 3), normal(3), normal(3), normal(3), positive(3)), standardize),
    row("fixed_batch_normalization", (normal(2, 3, 2, 2), normal(3), normal(3), normal(3), positive(3)), standardize,
        eps=0.1),
    row("fixed_batch_normalization", (normal(2, 3, 2), normal(2), normal(2), normal(2), positive(2)), standardize,
        axis=(1, 2)),
    # pooling
    row("max_pooling_2d", distinct(2, 2, 4, 5), max_pool, ksize=2),
    row("max_pooling_2d", distinct(1, 2, 5, 6), max_pool, ksize=3, stride=2, pad=1, cover_all=False),
    row("max_pooling_2d", distinct(1, 2, 4, 5), max_pool, ksize=(2, 3), stride=(1, 2), pad=(1, 0)),
    row("average_pooling_2d", normal(2, 2, 4, 4), pool(np.mean, 0.0), ksize=2),
    row("average_pooling_2d", normal(1, 2, 5, 6), pool(np.mean, 0.0), ksize=(3, 2), stride=2, pad=1),
    row("unpooling_2d", normal(2, 2, 2, 3), unpool, ksize=2),
    row("unpooling_2d", normal(1, 2, 2, 3), unpool, ksize=2, outsize=(4, 6)),
    row("unpooling_2d", normal(1, 2, 3, 2), unpool, ksize=3, stride=2, pad=1, cover_all=False),
]
