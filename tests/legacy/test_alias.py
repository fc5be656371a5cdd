"""`chainer` is minigan: one class under two names, never two; and what is missing says so."""

import subprocess
import sys
import unittest.mock

import numpy as np
import pytest

import minigan
import minigan.datasets
import minigan.links
from minigan import legacy  # installs the alias in this process
from minigan.legacy import alias, coverage, notes


def python(code, tmp_path, fails=False):
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode != 0) == fails, done.stderr
    return done.stderr if fails else done.stdout


def test_names_are_the_same_objects():
    import chainer
    import chainer.functions as F
    import chainer.links.normalization.batch_normalization as batch_normalization
    from chainer import cuda, initializers, optimizer, training
    from chainer.backends import cuda as cuda_too
    from chainer.dataset import convert
    from chainer.functions.activation import relu
    from chainer.functions.activation.relu import ReLU
    from chainer.functions.connection import convolution_2d
    from chainer.initializers.normal import Normal
    from chainer.optimizers.adam import Adam
    from chainer.serializers.npz import load_npz
    from chainer.training.extensions.log_report import LogReport
    from chainer.training.updater import StandardUpdater
    from chainer.training.updaters.standard_updater import StandardUpdater as again
    from chainer.utils import type_check

    assert chainer.Chain is chainer.link.Chain is minigan.Chain
    assert chainer.variable.Parameter is chainer.Parameter is minigan.Parameter
    assert chainer.function_node.FunctionNode is minigan.FunctionNode
    assert F.relu is relu.relu is minigan.functions.relu and relu.ReLU is ReLU
    assert convolution_2d.convolution_2d is F.convolution_2d and convolution_2d.Convolution2DFunction
    assert batch_normalization.BatchNormalization is minigan.links.BatchNormalization
    assert cuda.to_cpu is cuda_too.to_cpu and chainer.cuda.get_array_module is minigan.backend.get_array_module
    assert Normal is initializers.Normal and Adam is minigan.optimizers.Adam
    assert load_npz is minigan.serializers.load_npz and LogReport is training.extensions.LogReport
    assert StandardUpdater is again is training.StandardUpdater is minigan.training.StandardUpdater
    assert type_check.InvalidType is minigan.utils.type_check.InvalidType
    assert convert.concat_examples is chainer.dataset.concat_examples and optimizer.WeightDecay
    assert chainer.config is minigan.config and chainer.global_config is minigan.global_config
    assert chainer.__version__ == "7.8.1" != minigan.__version__


def test_a_module_is_not_a_function_of_the_same_name():
    import chainer.functions.math.sum
    import chainer.functions.pooling.max_pooling_2d

    assert chainer.functions.sum is minigan.functions.sum
    assert chainer.functions.math.sum.sum is minigan.functions.sum
    assert chainer.functions.math.sum.Sum is minigan.core.Sum
    assert chainer.functions.pooling.max_pooling_2d.__name__ == "chainer.functions.pooling.max_pooling_2d"


def test_memory_layouts_are_names():
    from chainer import links, memory_layouts

    assert links.Linear(2, 3).W.layout is memory_layouts.CUDNN_CHANNEL_FIRST_W is None
    assert memory_layouts.CUDNN_CHANNEL_LAST_X == "CUDNN_CHANNEL_LAST_X"  # as Chainer 7.8.1 prints it


def test_what_is_listed_is_there():
    import chainer.functions

    for module in (chainer, chainer.functions):
        assert [name for name in dir(module) if not hasattr(module, name)] == []


def test_modules_that_are_reached_through_others():
    import chainer
    from chainer.functions.connection import convolution_2d

    assert convolution_2d.cuda is chainer.cuda and convolution_2d.chainer is chainer
    assert chainer.array.reshape is chainer.functions.array.reshape and chainer.basic_math.Add is minigan.core.Add
    assert chainer.utils.collections_abc.Sequence


def test_import_star_gives_what_is_there():
    scope = {}
    exec("from chainer.functions import *", scope)
    assert scope["relu"] is minigan.functions.relu and "n_step_lstm" not in scope


def test_what_is_patched_under_the_old_name_is_patched(monkeypatch):
    import chainer

    monkeypatch.setattr("chainer.reporter.report", print)
    assert minigan.reporter.report is print
    monkeypatch.undo()
    assert minigan.reporter.report is chainer.reporter.report is not print
    with unittest.mock.patch("chainer.functions") as functions:  # a whole module
        assert chainer.functions is functions
    assert callable(chainer.functions.relu)
    with unittest.mock.patch("chainer.datasets.pickle_dataset.open") as opened:  # a built-in name, for one module
        minigan.datasets.open_pickle_dataset_writer("no file")
    opened.assert_called_once_with("no file", "wb")
    with pytest.raises(FileNotFoundError):
        minigan.datasets.open_pickle_dataset("no file")


def test_h5py_can_be_taken_away():
    h5py = pytest.importorskip("h5py")
    from chainer.serializers import hdf5

    assert hdf5._available
    with unittest.mock.patch.dict(sys.modules, h5py=None):
        for part in ("", ".hdf5", ".npz"):  # Chainer has imported them all
            del sys.modules["chainer.serializers" + part]
        import chainer.serializers

        assert chainer.serializers.hdf5 is not hdf5 and not chainer.serializers.hdf5._available
    assert hdf5._available and sys.modules["h5py"] is h5py


@pytest.mark.parametrize(
    "statement, says",
    [
        ("from chainer.functions import rellu", "no chainer.functions.rellu, .*the nearest is chainer.functions.relu;"),
        ("import chainer; chainer.relu", "the nearest is chainer.functions.relu;"),
        ("from chainer.functions import n_step_lstm", r"minigan has no chainer.functions.n_step_lstm, .*\(recurrent"),
        ("import chainer.functions.rnn.lstm", "minigan has no chainer.functions.rnn, which Chainer has"),
        ("from chainer.links.caffe.caffe_function import CaffeFunction", "minigan has no chainer.links.caffe"),
        ("from chainer.functions.activation.relu import Foo", "no chainer.functions.activation.relu.Foo"),
        ("import chainer.links as L; L.Convolution2d", "the nearest is chainer.links.Convolution2D;"),
        ("import chainer.no.such", "no chainer.no"),
        ("from chainer import gans", "no chainer.gans"),
    ],
)
def test_what_is_missing_says_so(statement, says):
    with pytest.raises((ImportError, AttributeError), match=says) as caught:
        exec(statement, {})
    assert type(caught.value) in (ImportError, AttributeError)
    assert str(caught.value).endswith("`minigan legacy --coverage` lists what is there")


def test_what_minigan_adds_stays_out():
    import chainer

    added = [name for name in minigan.links.__all__ if name not in alias.SURFACE["chainer.links"]]
    for name in added:
        assert not hasattr(chainer.links, name)
    for name in ("core", "gans", "random", "cli", "legacy"):
        assert not hasattr(chainer, name)
    assert not set(dir(chainer.functions)) - set(alias.SURFACE["chainer.functions"]) - alias.KNOWN - set(dir(chainer))


def test_without_the_first_line_there_is_no_chainer(tmp_path):
    code = "import sys, minigan.cli; print([m for m in sys.modules if m.startswith('chainer')], sys.excepthook)"
    before = python("import sys; print([], sys.excepthook)", tmp_path)
    assert python(code, tmp_path)[:30] == before[:30]
    code += "; import importlib.util; print(any('legacy' in type(f).__module__ for f in sys.meta_path))"
    assert python(code, tmp_path).endswith("False\n")


def test_the_first_line_is_enough(tmp_path):
    code = "import minigan.legacy, chainer, chainermn, chainerx; print(chainer.Chain, chainerx.is_available())"
    assert python(code, tmp_path) == "<class 'minigan.link.Chain'> False\n"


def test_an_installed_chainer_loses_or_is_named(tmp_path):
    (tmp_path / "chainer.py").write_text("__version__ = '7.8.1'")
    assert "minigan.link" in python("import minigan.legacy, chainer; print(chainer.Chain)", tmp_path)
    error = python("import chainer\nimport minigan.legacy", tmp_path, fails=True)
    assert "ImportError: minigan.legacy: chainer was imported before, from " in error and "chainer.py;" in error


def test_a_folder_that_stands_in_is_found_by_every_python(tmp_path):
    (tmp_path / "chainer").mkdir()
    (tmp_path / "chainer" / "__init__.py").write_text("import minigan.legacy")
    code = """
import multiprocessing
from chainer.functions.activation.relu import ReLU

def name():
    import chainer, chainerx
    return f"{chainer.Chain} {chainer.functions.activation.relu.ReLU is ReLU} {chainerx.is_available()}"

if __name__ == "__main__":
    print(name(), multiprocessing.get_context("spawn").Pool(1).apply(name))
"""
    (tmp_path / "script.py").write_text(code)
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.stdout == " ".join(["<class 'minigan.link.Chain'> True False"] * 2) + "\n", done.stderr


def test_pickled_objects_name_minigan():
    import pickle

    import chainer

    dataset = pickle.loads(pickle.dumps(chainer.datasets.TupleDataset([1, 2])))
    assert type(dataset) is chainer.datasets.TupleDataset


def test_chainermn_of_one_process():
    import chainermn

    comm = chainermn.create_communicator("pure_nccl")
    assert (comm.rank, comm.size, comm.intra_rank, comm.mpi_comm.Get_size()) == (0, 1, 0, 1)
    assert comm.bcast_obj({"a": 1}) == {"a": 1} and comm.mpi_comm.allreduce(3.0) == 3.0 and comm.gather_obj(2) == [2]
    optimizer = minigan.optimizers.Adam()
    assert chainermn.create_multi_node_optimizer(optimizer, comm) is optimizer
    part = chainermn.scatter_dataset(list(range(10)), comm, shuffle=True, seed=0)
    assert sorted(part[:]) == list(range(10)) and part[:] != list(range(10))
    assert len(chainermn.datasets.create_empty_dataset(part)) == 10
    with pytest.raises(RuntimeError, match="one process"):
        comm.send(1, 1, 0)


# -- the table -------------------------------------------------------------------------------------------------------

ROWS = coverage.rows()


def test_the_table_is_true():
    """Every yes imports, every no raises: asked through import statements, not through the table's own look-up."""
    wrong = []
    for path, name, there, _ in ROWS:
        try:
            exec(f"from {path} import {name}", {})
            found = True
        except ImportError:
            found = False
        if found != there:
            wrong.append((path, name, there))
    assert not wrong


def test_the_table_counts():
    text = coverage.table()
    count = sum(there for _, _, there, _ in ROWS)
    assert text.endswith(f"{count} of {len(ROWS)} names are there.") and len(ROWS) > 1700


def test_every_missing_name_has_a_reason():
    assert [f"{path}.{name}" for path, name, there, note in ROWS if not there and not note] == []


# the whole of what scripts cannot use, in the chapters that GANs are made of
LEFT_OUT = {
    "chainer.functions": """argmax_crf1d connectionist_temporal_classification crf1d lstm n_step_bigru n_step_bilstm
        n_step_birnn n_step_gru n_step_lstm n_step_rnn negative_sampling roi_average_align_2d roi_average_pooling_2d
        roi_max_align_2d roi_max_pooling_2d roi_pooling_2d slstm tree_lstm""",
    "chainer.links": """BinaryHierarchicalSoftmax BlackOut CRF1d ChildSumTreeLSTM GoogLeNet LSTM NStepBiGRU NStepBiLSTM
        NStepBiRNNReLU NStepBiRNNTanh NStepGRU NStepLSTM NStepRNNReLU NStepRNNTanh NaryTreeLSTM NegativeSampling
        ResNet101Layers ResNet152Layers ResNet50Layers StatefulMGU StatefulPeepholeLSTM StatefulZoneoutLSTM
        StatelessLSTM StatelessMGU TheanoFunction""",
    "chainer.optimizers": "",
    "chainer.optimizer_hooks": "",
    "chainer.initializers": "",
    "chainer.serializers": "",
    "chainer.reporter": "",
    "chainer.link": "",
    "chainer.training": "",
    "chainer.training.triggers": "",
    "chainer.training.updaters": "",
    "chainer.training.extensions": "",
    "chainer.iterators": "DaliIterator",
    "chainer.dataset": "",
    "chainer.dataset.tabular": "",
    "chainer.datasets": "",
}


@pytest.mark.parametrize("path", LEFT_OUT)
def test_what_is_left_out_is_listed(path):
    assert sorted(name for p, name, there, _ in ROWS if p == path and not there) == LEFT_OUT[path].split()


def test_every_note_has_a_name():
    names = [f"{path}.{name}".removeprefix("chainer.") for path, name, _, _ in ROWS]
    for pattern in [*notes.ABSENT, *notes.DIFFERENT]:
        assert any(notes.fnmatch.fnmatchcase(name, pattern) for name in names), pattern


def test_the_face_of_the_package():
    assert set(legacy.__all__) <= set(dir(legacy))


def test_parts_of_functions_that_tests_of_chainer_name():
    import chainer
    from chainer import basic_math
    from chainer.functions.math import basic_math as deeper

    assert basic_math.Add is deeper.Add is minigan.core.Add
    labels = {name: getattr(basic_math, name)(2.0).label for name in ("AddConstant", "SubFromConstant", "PowConstVar")}
    assert labels == {"AddConstant": "_ + 2.0", "SubFromConstant": "2.0 - _", "PowConstVar": "2.0 ** _"}
    values = -2, np.float32(2), np.ones(1), minigan.Variable(np.ones(1))
    texts = [basic_math._convert_value_to_string(value) for value in values]
    assert texts == ["(-2)", "2.0", "constant array", "constant array"]
    assert chainer.functions.array.flip._flip(np.arange(3), 0).tolist() == [2, 1, 0]
    assert chainer.backends._cpu._to_cpu([np.ones(1), None])[0] == 1

    class Half:
        @chainer.utils.precision._fp16_mixed_precision_helper
        def forward(self, inputs):
            self.dtypes = "".join(x.dtype.char for x in inputs)
            return inputs

    # Chainer 7.8.1 gives the same for these dtypes
    for given, inside, outside in (("ee", "ff", "ee"), ("ef", "ff", "ff"), ("dd", "dd", "dd"), ("eb", "fb", "eb")):
        half = Half()
        ys = half.forward(tuple(np.zeros(1, d) for d in given))
        assert (half.dtypes, "".join(y.dtype.char for y in ys)) == (inside, outside)


def test_a_link_is_no_function_of_its_name():
    from chainer.functions.activation import swish

    assert swish.swish is minigan.functions.swish
    with pytest.raises(AttributeError, match=r"no chainer.functions.activation.swish.Swish, which Chainer has"):
        swish.Swish  # noqa: B018
    with pytest.raises(ImportError, match="Uniform"):
        from chainer.distributions.uniform import Uniform  # noqa: F401
