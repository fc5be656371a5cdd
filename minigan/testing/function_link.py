"""Test cases that need only say what a function or link should compute."""

from __future__ import annotations

import unittest
from typing import Any

import numpy

from minigan import gradient_check
from minigan.core import Variable, as_array
from minigan.gradient_check import assert_allclose
from minigan.initializers import _get_initializer
from minigan.testing.backend import BackendConfig
from minigan.testing.parameterized import parameterize, product


def _arrays(values: Any) -> tuple[Any, ...]:
    return tuple(as_array(v) for v in (values if isinstance(values, (list, tuple)) else (values,)))


class _Case(unittest.TestCase):
    backend_config = BackendConfig({})
    check_forward_options: dict[str, Any]
    check_backward_options: dict[str, Any]
    check_double_backward_options: dict[str, Any]
    skip_forward_test = skip_backward_test = False
    dodge_nondifferentiable = False
    contiguous: Any = None  # accepted: the inputs are used as they are generated
    numerical_grad_dtype: Any = numpy.float64

    def __init__(self, methodName: str = "runTest") -> None:
        super().__init__(methodName)
        # dicts of each test's own: `setUp` may update them
        for name in ("check_forward_options", "check_backward_options", "check_double_backward_options"):
            setattr(self, name, dict(getattr(self, name, None) or {}))

    def before_test(self, test_name: str) -> None:
        """Called before each test; may raise `unittest.SkipTest`."""

    def generate_inputs(self) -> tuple[Any, ...]:
        """Return the inputs, NumPy arrays."""
        raise NotImplementedError("generate_inputs is not implemented.")

    def generate_grad_outputs(self, outputs_template: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the gradients of the outputs."""
        return tuple(numpy.random.uniform(-1, 1, a.shape).astype(a.dtype) for a in outputs_template)

    generate_grad_grad_inputs = generate_grad_outputs

    def _start(self, name: str, backend_config: Any, skip: bool = False) -> tuple[Any, ...]:
        self.backend_config = backend_config or self.backend_config
        if skip:
            raise unittest.SkipTest(f"skip_{name} is set")
        self.before_test(name)
        return self.generate_inputs()

    def check_forward_outputs(self, outputs: tuple[Any, ...], expected_outputs: tuple[Any, ...]) -> None:
        """Compare arrays; may be overridden."""
        self.assertEqual(len(outputs), len(expected_outputs))
        for y, e in zip(outputs, expected_outputs):
            self.assertEqual((y.shape, y.dtype), (e.shape, e.dtype))
            assert_allclose(y, e, **self.check_forward_options)


class FunctionTestCase(_Case):
    """Forward against ``forward_expected(inputs)``, backward and double backward against numeric differences.

    To be defined: ``generate_inputs()``, ``forward(inputs, device)`` on Variables, ``forward_expected(inputs)`` on
    arrays. Options of the checks: ``check_forward_options``, ``check_backward_options``,
    ``check_double_backward_options``; ``skip_..._test`` leaves one out.
    """

    skip_double_backward_test = False

    def forward(self, inputs: Any, device: Any) -> Any:
        """Return the outputs of the function, a Variable or a tuple."""
        raise NotImplementedError("forward is not implemented.")

    def forward_expected(self, inputs: Any) -> Any:
        """Return the right outputs, arrays."""
        raise NotImplementedError("forward_expected is not implemented.")

    def _function(self, *xs: Any) -> Any:
        return self.forward(xs, self.backend_config.device)

    def test_forward(self, backend_config: Any = None) -> None:
        """The outputs."""
        inputs = self._start("test_forward", backend_config, self.skip_forward_test)
        with self.backend_config:
            ys = self._function(*(Variable(x) for x in self.backend_config.get_array(inputs)))
        self.check_forward_outputs(_arrays(ys), _arrays(self.forward_expected(tuple(x.copy() for x in inputs))))

    def _gradients(self, name: str, backend_config: Any, skip: bool) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        inputs = self._start(name, backend_config, skip)
        gys = self.generate_grad_outputs(_arrays(self.forward_expected(tuple(x.copy() for x in inputs))))
        send = self.backend_config.get_array
        return send(tuple(inputs)), send(tuple(gys))

    def test_backward(self, backend_config: Any = None) -> None:
        """The first derivative."""
        xs, gys = self._gradients("test_backward", backend_config, self.skip_backward_test)
        options = {"dtype": self.numerical_grad_dtype, "detect_nondifferentiable": self.dodge_nondifferentiable}
        with self.backend_config:
            _dodge(self, gradient_check.check_backward, xs, gys, {**options, **self.check_backward_options})

    def test_double_backward(self, backend_config: Any = None) -> None:
        """The second derivative."""
        xs, gys = self._gradients("test_double_backward", backend_config, self.skip_double_backward_test)
        ggs = self.backend_config.get_array(self.generate_grad_grad_inputs(xs))
        options = {"dtype": self.numerical_grad_dtype, "detect_nondifferentiable": self.dodge_nondifferentiable}

        def check(function: Any, xs: Any, gys: Any, **options: Any) -> None:
            gradient_check.check_double_backward(function, xs, gys, ggs, **options)

        with self.backend_config:
            _dodge(self, check, xs, gys, {**options, **self.check_double_backward_options})


def _dodge(case: FunctionTestCase, check: Any, xs: Any, gys: Any, options: dict[str, Any]) -> None:
    """Check, at other inputs if these are at a kink."""
    for _ in range(10):
        try:
            return check(case._function, xs, gys, **options)
        except gradient_check.NondifferentiableError:
            xs = case.backend_config.get_array(tuple(case.generate_inputs()))
    raise AssertionError("every one of 10 inputs was at a point without a derivative")


class LinkTestCase(_Case):
    """A link's outputs against ``forward_expected(link, inputs)``, its gradients against numeric differences.

    To be defined: ``param_names``, ``generate_params()`` (initializers), ``create_link(initializers)``,
    ``generate_inputs()``, ``forward_expected(link, inputs)``.
    """

    param_names: Any = ()

    def generate_params(self) -> tuple[Any, ...]:
        """Return one initializer for each parameter."""
        raise NotImplementedError("generate_params is not implemented.")

    def create_link(self, initializers: Any) -> Any:
        """Return a new link."""
        raise NotImplementedError("create_link is not implemented.")

    def forward(self, link: Any, inputs: Any, device: Any) -> Any:
        """Call the link."""
        return link(*inputs)

    def forward_expected(self, link: Any, inputs: Any) -> Any:
        """Return the right outputs, arrays."""
        raise NotImplementedError("forward_expected is not implemented.")

    def _link(self, inputs: Any, initializers: Any = None) -> Any:
        link = self.create_link(self.generate_params() if initializers is None else initializers)
        link.to_device(self.backend_config.device)
        with self.backend_config:
            self.forward(link, [Variable(x) for x in inputs], self.backend_config.device)
        return link

    def test_forward(self, backend_config: Any = None) -> None:
        """The outputs."""
        inputs = self._start("test_forward", backend_config, self.skip_forward_test)
        xs = self.backend_config.get_array(tuple(inputs))
        link = self._link(xs)
        expected = self.forward_expected(link.copy(mode="copy").to_cpu(), inputs)
        with self.backend_config:
            ys = self.forward(link, [Variable(x) for x in xs], self.backend_config.device)
            self.check_forward_outputs(_arrays(ys), _arrays(expected))

    def test_backward(self, backend_config: Any = None) -> None:
        """The first derivative, of inputs and parameters."""
        inputs = self._start("test_backward", backend_config, self.skip_backward_test)
        xs = self.backend_config.get_array(tuple(inputs))
        link, device = self._link(xs), self.backend_config.device
        params = [getattr(link, name) for name in self.param_names]
        with self.backend_config:
            ys = _arrays(self.forward(link, [Variable(x) for x in xs], device))
            gys = self.backend_config.get_array(self.generate_grad_outputs(ys))
            gradient_check.check_backward(
                lambda *xs: self.forward(link, xs, device), xs, gys, params,
                **{"dtype": self.numerical_grad_dtype, **self.check_backward_options},
            )  # fmt: skip


class InitializerArgument:
    """What is given to a link, and the initializer that it should come to."""

    def __init__(self, argument_value: Any, expected_initializer: Any) -> None:
        self.argument_value = argument_value
        self.expected_initializer = _get_initializer(expected_initializer)


class LinkInitializersTestCase(LinkTestCase):
    """Every initializer that ``get_initializers()`` lists for a parameter fills it as it should."""

    check_initializers_options: dict[str, Any] | None = None
    test_forward = test_backward = None  # type: ignore[assignment]

    def get_initializers(self) -> Any:
        """Return, for each parameter, a list of initializers or `InitializerArgument`."""
        raise NotImplementedError("get_initializers is not implemented.")

    def test_initializers(self, backend_config: Any = None) -> None:
        """One parameter after the other."""
        default = [_argument(p) for p in self.generate_params()]
        for i, arguments in enumerate(self.get_initializers()):
            for argument in map(_argument, arguments):
                given = [argument.argument_value if i == j else d.argument_value for j, d in enumerate(default)]
                inputs = self.backend_config.get_array(tuple(self._start("test_initializers", backend_config)))
                param = getattr(self._link(inputs, given), self.param_names[i])
                expected = numpy.empty(param.shape, param.dtype)
                argument.expected_initializer(expected)
                close = (lambda a: (a.mean(), a.std())) if numpy.ptp(expected) else (lambda a: a)
                spread = 6 * expected.std() / expected.size**0.5  # of mean and deviation, if the array is random
                options = {"atol": spread + 1e-6, **(self.check_initializers_options or {})}
                assert_allclose(close(param.array), close(expected), **options)


def _argument(value: Any) -> InitializerArgument:
    return value if isinstance(value, InitializerArgument) else InitializerArgument(value, value)


def unary_math_function_unittest(
    func: Any, func_expected: Any = None, label_expected: Any = None, make_data: Any = None, is_linear: Any = None,
    forward_options: Any = None, backward_options: Any = None, double_backward_options: Any = None,
) -> Any:  # fmt: skip
    """Decorator: a test case of a function of one argument, for float16, 32 and 64; by default against NumPy's.

    ``func`` may be a function or a FunctionNode, whose ``label`` must then be ``label_expected``.
    """
    expected = func_expected or getattr(numpy, func.__name__)

    def data(shape: Any, dtype: Any) -> Any:
        draws = numpy.random.uniform(0.5, 1, (3, *shape))
        return make_data(shape, dtype) if make_data else [numpy.array(a, dtype) for a in draws]

    def decorator(case: type) -> Any:
        def start(self: Any) -> None:
            self.x, self.gy, self.ggx = data(self.shape, self.dtype)
            self.options = {"atol": 1e-2, "rtol": 1e-2} if self.dtype == numpy.float16 else {"atol": 1e-4, "rtol": 1e-4}

        def forward(self: Any) -> None:
            y = func(Variable(self.x))
            self.assertEqual(y.dtype, self.dtype)
            assert_allclose(y.array, expected(self.x, dtype=self.dtype), **{**self.options, **(forward_options or {})})

        def backward(self: Any) -> None:
            options = {"dtype": numpy.float64, **self.options, **(backward_options or {})}
            gradient_check.check_backward(func, self.x, self.gy, **options)

        def double_backward(self: Any) -> None:
            options = {"dtype": numpy.float64, **self.options, **(double_backward_options or {})}
            function = (lambda x: func(x) * func(x)) if is_linear else func  # a line has no second derivative
            gradient_check.check_double_backward(function, self.x, self.gy, self.ggx, **options)

        def label(self: Any) -> None:
            self.assertEqual(func().label, label_expected)

        members = {"setUp": start, "test_forward_cpu": forward, "test_backward_cpu": backward}
        members |= {"test_double_backward_cpu": double_backward, **({"test_label": label} if label_expected else {})}
        for name, member in members.items():
            setattr(case, name, member)
        shapes: list[tuple[int, ...]] = [(3, 2), ()]
        dtypes = [numpy.float16, numpy.float32, numpy.float64]
        return parameterize(*product({"dtype": dtypes, "shape": shapes}))(case)

    return decorator
