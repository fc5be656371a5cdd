"""The helpers for tests: right functions pass, wrong ones fail, and cases multiply."""

import contextlib
import sys
import types
import unittest
import warnings

import numpy as np
import pytest

import minigan.functions as F
import minigan.links as L
from minigan import FunctionNode, initializers, testing
from minigan.distributions import Normal
from minigan.testing import attr, condition


class Halved(FunctionNode):
    """x / 2, with a gradient that is wrong where `wrong` is not 0."""

    def __init__(self, wrong=0.0, factor=0.5):
        self.wrong, self.factor = wrong, factor

    def forward(self, inputs):
        return (inputs[0] * inputs[0].dtype.type(self.factor),)

    def backward(self, indexes, gys):
        return (gys[0] * (0.5 + self.wrong),)


def outcome(case):
    """Names of the tests of a case that pass, fail and are skipped."""
    result = unittest.TestResult()
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(case)
    names = {test._testMethodName for test in suite}
    suite.run(result)
    bad = {t._testMethodName for t, _ in result.failures + result.errors}
    skipped = {t._testMethodName for t, _ in result.skipped}
    return sorted(names - bad - skipped), sorted(bad), sorted(skipped)


def function_case(wrong=0.0, factor=0.5, **members):
    def inputs(self):
        return (np.random.uniform(-1, 1, (2, 3)).astype("f"),)

    return type("Case", (testing.FunctionTestCase,), {
        "generate_inputs": inputs,
        "forward": lambda self, xs, device: Halved(wrong, factor).apply(xs)[0],
        "forward_expected": lambda self, xs: (xs[0] / 2,), **members,
    })  # fmt: skip


ALL = ["test_backward", "test_double_backward", "test_forward"]


def test_a_right_function_passes():
    assert outcome(function_case()) == (ALL, [], [])
    assert outcome(function_case(skip_forward_test=True))[2] == ["test_forward"]


def test_a_wrong_function_fails():
    assert "test_backward" in outcome(function_case(wrong=0.1))[1]
    assert "test_forward" in outcome(function_case(factor=0.6))[1]
    assert outcome(function_case(forward_expected=lambda self, xs: (np.float64(xs[0]) / 2,)))[1] == ["test_forward"]


def test_kinks_are_dodged():
    draws = [np.array([0.0, 1.0]), np.array([0.5, 1.0])]
    case = function_case(
        generate_inputs=lambda self: (draws.pop(0),), forward=lambda self, xs, device: F.relu(xs[0]),
        forward_expected=lambda self, xs: (np.maximum(xs[0], 0),), dodge_nondifferentiable=True,
    )  # fmt: skip
    result = unittest.TestResult()
    case("test_backward").run(result)
    assert result.wasSuccessful() and not draws, result.errors


def link_case(base=testing.LinkTestCase, scale=1.0, **members):
    return type("Case", (base,), {
        "param_names": ("W", "b"),
        "generate_params": lambda self: (initializers.Normal(), initializers.Normal()),
        "create_link": lambda self, inits: L.Linear(4, 200, initialW=inits[0], initial_bias=inits[1]),
        "generate_inputs": lambda self: (np.random.uniform(-1, 1, (5, 4)).astype("f"),),
        "forward_expected": lambda self, link, xs: (scale * xs[0] @ link.W.array.T + link.b.array,), **members,
    })  # fmt: skip


def test_links():
    assert outcome(link_case()) == (["test_backward", "test_forward"], [], [])
    assert outcome(link_case(scale=1.5))[1] == ["test_forward"]


@pytest.mark.parametrize("expected, fails", [(2, []), (1, ["test_initializers"])])
def test_initializers_of_links(expected, fails):
    arguments = [initializers.Normal(0.5), testing.InitializerArgument(None, initializers.LeCunNormal())]
    bias = [testing.InitializerArgument(2, initializers.Constant(expected))]
    case = link_case(testing.LinkInitializersTestCase, get_initializers=lambda self: (arguments, bias))
    assert outcome(case)[1] == fails


@pytest.mark.parametrize("func, wrong", [(F.exp, False), (F.sqrt, False), (F.sqrt, True)])
def test_unary_math_functions(func, wrong):
    expected = (lambda x, dtype: np.cbrt(x, dtype=dtype)) if wrong else None
    cases = in_module(testing.unary_math_function_unittest(func, expected), type("Case", (unittest.TestCase,), {}))
    assert len(cases) == 6 and "Case_param_0_{dtype=float16, shape=(3, 2)}" in cases
    good, bad, _ = outcome(cases["Case_param_5_{dtype=float64, shape=()}"])
    assert len(good + bad) == 3 and bad == ["test_forward_cpu"] * wrong


def in_module(decorate, case):
    """Decorate a case as in a module of its own; return what the module then holds."""
    module = types.ModuleType("a_module_of_tests")
    sys.modules[module.__name__] = module
    try:
        case.__module__ = module.__name__
        module.Case = case
        decorate(case)
        return {k: v for k, v in vars(module).items() if isinstance(v, type)}
    finally:
        del sys.modules[module.__name__]


def test_cases_multiply():
    seen = []
    case = type("Case", (unittest.TestCase,), {
        "test_it": lambda self, config: seen.append((self.shape, self.dtype, config.xp))
    })  # fmt: skip
    params = testing.product({"shape": [(), (2,)], "dtype": ["f", "d"]})
    backends = testing.inject_backend_tests(["test_it"], [{}, {"use_cuda": True, "cuda_device": 99}])
    cases = in_module(lambda c: testing.parameterize(*params)(backends(c)), case)
    assert len(cases) == 8 and "Case" not in cases
    results = [outcome(c) for c in cases.values()]
    assert sorted(seen, key=str) == sorted([(s, d, np) for s in ((), (2,)) for d in "fd"], key=str)
    assert sum(bool(skipped) for _, _, skipped in results) == 4 and not any(bad for _, bad, _ in results)
    with pytest.raises(ValueError, match="got the key 'use_coda'"):
        testing.BackendConfig({"use_coda": True})


def test_backends_reach_every_test_that_asks_for_them():
    seen = []

    class Case(unittest.TestCase):
        def test_asks(self, backend_config):
            seen.append(backend_config is self.backend_config)

        def test_asks_not(self):
            seen.append(self.backend_config.xp is np)

    (case,) = in_module(testing.inject_backend_tests(None, [{}]), Case).values()
    assert outcome(case)[1:] == ([], []) and seen == [True, True]


def test_each_decorator_gives_one_configuration_and_keeps_what_the_test_is():
    seen = []

    class Case(unittest.TestCase):
        @condition.retry(3)
        def test_two(self, source, target):
            seen.append((source.use_cudnn, target.use_cudnn))

        def test_alone(self):
            seen.append(None)

    inject = testing.inject_backend_tests
    cases = in_module(lambda c: inject(["test_two"], [{}])(inject(["test_two"], [{"use_cudnn": "always"}])(c)), Case)
    assert [len(outcome(case)[0]) for case in cases.values()] == [1, 1] and seen == [None, ("always", "never")]
    # Chainer 7.8.1: pytest --collect-only of the same case with these; scripts select tests by these names
    assert in_module(inject(None, [{}, {"use_cuda": True}]), Case).keys() == {
        f"Case_use_chainerx_false__chainerx_device_None__use_cuda_{use}__cuda_device_{number}__use_cudnn_never__"
        "cudnn_deterministic_false__autotune_false__cudnn_fast_batch_normalization_false__use_ideep_never"
        for use, number in (("false", None), ("true", 0))
    }


def test_function_cases_take_a_configuration():
    class Case(function_case()):
        numerical_grad_dtype = np.float32

        def check_forward_outputs(self, outputs, expected_outputs):
            assert self.backend_config.use_cudnn == "always" and outputs[0].shape == expected_outputs[0].shape

    (case,) = in_module(testing.inject_backend_tests(None, [{"use_cudnn": "always"}]), Case).values()
    assert outcome(case)[0] == ALL


def test_parameters_that_are_functions_and_names_of_cases():
    class Case(unittest.TestCase):
        def test_it(self):
            self.assertEqual(self.f(2), 4)

    cases = in_module(testing.parameterize_pytest("f, dtype, s", [(lambda x: x * x, np.float32, "a")]), Case)
    assert list(cases) == ["Case_param_0_{dtype=float32, f=<lambda>, s='a'}"]  # as Chainer 7.8.1 names it
    assert outcome(*cases.values())[0] == ["test_it"]


def test_options_of_the_checks_are_each_tests_own():
    class Case(testing.FunctionTestCase):
        def setUp(self):
            self.check_forward_options.update(atol=0.5)

    Case("test_forward").setUp()
    assert Case("test_forward").check_forward_options == testing.FunctionTestCase().check_forward_options == {}


def test_products():
    assert testing.product({"c": [5], "a,b": [[1, 2], [3, 4]]}) == [{"a": 1, "b": 2, "c": 5}, {"a": 3, "b": 4, "c": 5}]
    assert testing.product([[{"a": 1}, {"a": 2}], [{"b": 3}]]) == [{"a": 1, "b": 3}, {"a": 2, "b": 3}]
    assert testing.product_dict([{"a": 1}], [{"b": 3}, {"b": 4}]) == [{"a": 1, "b": 3}, {"a": 1, "b": 4}]


def test_fixed_random_numbers_and_seeds():
    draw = testing.fix_random()(lambda: np.random.rand())
    np.random.seed(5)
    first = np.random.rand()
    np.random.seed(5)
    assert draw() == draw() == 0.5434049417909654 != first == np.random.rand()

    @testing.fix_random()
    class Case(unittest.TestCase):
        def setUp(self):
            self.first = np.random.rand()

        def test(self):
            assert (self.first, np.random.rand()) == (0.5434049417909654, 0.27836938509379616)  # as in Chainer 7.8.1

    assert Case("test").run().wasSuccessful()
    assert testing.generate_seed() != testing.generate_seed()


def test_retries():
    for decorator, good in ((condition.retry(3), True), (condition.retry(2), False), (condition.repeat(2), False)):
        tries = iter([False, False, True])

        @decorator
        def test(tries=tries):
            assert next(tries)

        if good:
            test()
        else:
            with pytest.raises(AssertionError, match="The first error message: assert False"):
                test()


def test_a_configuration_for_ideep_runs_on_numpy():
    config, seen = testing.BackendConfig({"use_ideep": "always"}), []

    class Case:
        def test(self):
            seen.append((str(config.device), config.use_ideep))

    case = config.mark(Case)
    case().test()
    assert seen == [("@numpy", "always")] and [mark.name for mark in case.pytestmark] == ["ideep"]


@pytest.mark.parametrize(("success", "runs", "passes"), [(1, 2, True), (5, 10, True), (6, 9, False), (10, 1, False)])
def test_tries_end_as_soon_as_it_is_decided(success, runs, passes):
    tries = []

    @condition.repeat_with_success_at_least(10, success)
    def every_other_passes():
        tries.append(1)
        assert len(tries) % 2 == 0

    with contextlib.nullcontext() if passes else pytest.raises(AssertionError, match=f"wanted {success} of 10"):
        every_other_passes()
    assert len(tries) == runs
    with pytest.raises(AssertionError, match="11 of 10 runs cannot pass"):
        condition.repeat_with_success_at_least(10, 11)


def test_each_try_is_set_up():
    log = []

    class Case(unittest.TestCase):
        def setUp(self):
            log.append("up")

        def tearDown(self):
            log.append("down")

        @condition.retry(3)
        def test_third(self):
            log.append("try")
            if log.count("try") < 3:
                raise ValueError("not yet")  # errors are failures, too

        @condition.retry(3)
        def test_skipped(self):
            self.skipTest("at once")

    assert outcome(Case) == (["test_third"], [], ["test_skipped"])
    assert log[2:] == ["up", "try", "down"] * 3  # after those of test_skipped


def test_marks_and_requirements():
    def three():
        return 3

    needs, shuns = testing.with_requires, testing.without_requires
    wanting = [needs("numpy<1.0"), needs("numpy>=1.0", "no-such-package"), shuns("numpy>=1.26")]
    for mark in (attr.ideep, attr.chainerx, attr.chainerx(2), attr.multi_gpu(99), *wanting):
        with pytest.raises(unittest.SkipTest):
            mark(three)()
    assert attr.chainerx(type("Plain", (), {})).pytestmark[0].name == "skip"  # unittest's marks skip no plain class
    assert testing.with_requires("numpy>=1.26,<9")(three)() == attr.slow(three)() == 3


def test_small_helpers():
    with testing.assert_warns(DeprecationWarning):
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    with pytest.raises(AssertionError, match="DeprecationWarning was not given"):
        with testing.assert_warns(DeprecationWarning):
            warnings.warn("other", UserWarning, stacklevel=1)
    a, b = L.Linear(2, 3), L.Linear(2, 3)
    testing.save_and_load_npz(a, b)
    np.testing.assert_array_equal(a.W.array, b.W.array)
    with pytest.raises(ValueError, match="not negative"):
        testing.generate_matrix((2, 2), singular_values=[1, -1])
    with pytest.raises(TypeError, match="dtype is int32"):
        testing.generate_matrix((2, 2), "i", singular_values=1)
    x = testing.generate_matrix((2, 2), "F", singular_values=[3, 1])
    assert x.dtype == np.complex64 and x.imag.any()
    np.testing.assert_allclose(np.linalg.svd(x, compute_uv=False), [3, 1], rtol=1e-5)
    x = testing.generate_matrix((2, 3, 4), singular_values=[3, 2, 1])
    np.testing.assert_allclose(np.linalg.svd(x, compute_uv=False), [[3, 2, 1]] * 2)
    trainer = testing.get_trainer_with_mock_updater((3, "epoch"), iter_per_epoch=4)
    trainer.run()
    assert trainer.updater.iteration == 12 and trainer.updater.is_new_epoch


def test_noncontiguous_copies():
    whole = np.arange(6.0).reshape(2, 3)
    copies = testing.array._as_noncontiguous_array((whole, None, np.ones(1)))
    assert isinstance(copies, tuple)
    np.testing.assert_array_equal(copies[0], whole)
    assert copies[0].strides == (-96, -16)  # Chainer 7.8.1: print(_as_noncontiguous_array(whole).strides)
    assert copies[1] is None
    assert copies[2].shape == (1,)


def distribution_case(**members):
    pytest.importorskip("scipy")

    def setUp_configure(self):
        from scipy import stats

        self.dist, self.scipy_dist = Normal, stats.norm
        self.params = {"loc": np.array([0.5, -1], "f"), "scale": np.array([2, 0.5], "f")}
        self.scipy_params = dict(self.params)
        self.test_targets = {"batch_shape", "support", "mean", "stddev", "entropy", "log_prob", "icdf", "sample"}

    return type("Case", (testing.distribution_unittest,), {
        "setUp_configure": setUp_configure, "shape": (2,), "sample_shape": (3,), "is_variable": True,
        "sample_for_test": lambda self: np.random.uniform(-1, 1, (3, 2)).astype("f"), **members,
    })  # fmt: skip


@pytest.mark.parametrize("onebyone", [True, False])
def test_distributions_against_scipy(onebyone):
    good, bad, skipped = outcome(distribution_case(scipy_onebyone=onebyone))
    assert len(good) == 8 and not bad and "test_cdf_cpu" in skipped and "test_mean_gpu" in skipped


def test_wrong_distributions_fail():
    class Wrong(Normal):
        support = "positive"
        entropy = Normal.variance

        def log_prob(self, x):
            return super().log_prob(x) + 0.01

        def sample_n(self, n):
            return super().sample_n(n) * 1.1

    def setUp(self):
        super(case, self).setUp()
        self.dist = Wrong

    case = distribution_case(scipy_onebyone=True, setUp=setUp)
    assert outcome(case)[1] == ["test_entropy_cpu", "test_log_prob_cpu", "test_sample_cpu", "test_support_cpu"]
