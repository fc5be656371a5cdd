import io
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from minigan import configuration
from minigan.configuration import (
    DebugMode,
    config,
    get_dtype,
    global_config,
    is_debug,
    is_recording,
    mixed16,
    using_config,
)


def test_a_local_key_hides_the_global_one_in_its_thread_only():
    with using_config("train", False):
        assert config.train is False and global_config.train is True
        seen = []
        thread = threading.Thread(target=lambda: seen.append(config.train))
        thread.start()
        thread.join()
        assert seen == [True]
    assert config.train is True
    with DebugMode(True):
        assert is_debug()
    assert not is_debug()


@pytest.mark.parametrize("asked, key", [(is_debug, "debug"), (is_recording, "enable_backprop")])
def test_the_quick_way_to_ask_sees_what_config_shows(asked, key, monkeypatch):
    seen = []
    for value in (True, False):
        monkeypatch.setattr(global_config, key, value)
        assert asked() is getattr(config, key) is value
        with using_config(key, not value):
            thread = threading.Thread(target=lambda: seen.append(asked()))
            thread.start()
            thread.join()
            assert asked() is (not value) and seen.pop() is value
        assert asked() is value


def test_unknown_keys():
    with pytest.raises(AttributeError, match="my_key"):
        print(config.my_key)
    with using_config("my_key", 3):
        assert config.my_key == 3
    with pytest.raises(AttributeError, match="my_key"):
        print(config.my_key)


OWN_KEYS = {"tf32", "cuda_graph"}


def test_every_key_of_chainer_is_there():
    # sorted(vars(chainer.global_config)) of Chainer 7.8.1
    assert sorted(vars(global_config).keys() - OWN_KEYS) == [
        "_will_recompute", "autotune", "compute_mode", "cudnn_deterministic", "cudnn_fast_batch_normalization", "debug",
        "dtype", "enable_backprop", "in_recomputing", "keep_graph_on_report", "lazy_grad_sum", "schedule_func", "train",
        "type_check", "use_cudnn", "use_cudnn_tensor_core", "use_ideep", "use_static_graph", "warn_nondeterministic",
    ]  # fmt: skip
    file = io.StringIO()
    config.show(file)
    assert "train                          True\n" in file.getvalue()


def test_show_prints_what_is_set():
    outer = configuration.GlobalConfig()
    outer.x, outer.long_name = "global x", "global y"
    local = configuration.LocalConfig(outer)
    local.x = "local x"
    file = io.StringIO()
    local.show(file)
    assert file.getvalue() == "long_name global y\nx         local x\n"


def test_dtypes():
    assert get_dtype() == np.float32 and get_dtype("d") == np.float64
    assert get_dtype(mixed16) == np.float16 and get_dtype(mixed16, map_mixed16=np.float32) == np.float32
    with using_config("dtype", mixed16):
        assert get_dtype() == np.float16 and repr(config.dtype) == "dtype('mixed16')"


def test_keys_are_read_from_the_environment():
    code = "from minigan.configuration import config as c; print(c.dtype, c.debug, c.type_check, c.use_cudnn)"
    environment = {"CHAINER_DTYPE": "mixed16", "CHAINER_DEBUG": "1", "CHAINER_TYPE_CHECK": "0",
                   "CHAINER_USE_CUDNN": "never"}  # fmt: skip
    wrong = {"CHAINER_DTYPE": "int8"}
    for extra, text in ((environment, "dtype('mixed16') True False never"), (wrong, "wanted mixed16")):
        environment = {**os.environ, **extra}
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
        assert text in result.stdout + result.stderr
