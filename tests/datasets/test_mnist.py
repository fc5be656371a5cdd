import gzip
import hashlib
import shutil
import struct
from pathlib import Path

import h5py
import numpy as np
import pytest

import minigan.datasets
from minigan import configuration, dataset
from minigan.dataset import DataError
from minigan.datasets import (
    TupleDataset,
    download_mnist,
    find_mnist,
    get_fashion_mnist,
    get_fashion_mnist_labels,
    get_kuzushiji_mnist,
    get_kuzushiji_mnist_labels,
    get_mnist,
    load_mnist,
    mirrors,
    set_data_directory,
)

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason=f"the full data sets are not at {SHARED}")


def same(data, digits):
    for got, wanted in zip(data[:4], digits.values(), strict=True):
        assert got.dtype == np.uint8
        np.testing.assert_array_equal(got, wanted)
    return True


def chainer_cache(root, digits, name="mnist"):
    folder = root / "pfnet" / "chainer" / name
    folder.mkdir(parents=True)
    for part in ("train", "test"):
        x, y = digits[f"x_{part}"].reshape(-1, 784), digits[f"y_{part}"]
        np.savez_compressed(folder / f"{part}.npz", x=x, y=y)
    return folder


# --- formats ---


def test_idx_gz(idx_folder, digits):
    data = load_mnist(directory=idx_folder)
    assert same(data, digits)
    assert data.source == f"MNIST: 12 training and 5 test images from {idx_folder}"


def test_idx_plain_in_both_spellings(idx_folder, digits):
    for i, file in enumerate(sorted(idx_folder.iterdir())):
        name = file.name.removesuffix(".gz")
        (idx_folder / (name.replace("-idx", ".idx") if i % 2 else name)).write_bytes(gzip.decompress(file.read_bytes()))
        file.unlink()
    assert same(load_mnist(directory=idx_folder), digits)


def test_a_folder_of_folders(idx_folder, digits, tmp_path):
    shutil.move(idx_folder, tmp_path / "all" / "mnist")
    assert same(load_mnist(directory=tmp_path / "all"), digits)


@pytest.mark.parametrize("label", ["y", "t"])
@pytest.mark.parametrize("ending", ["npz", "h5"])
@pytest.mark.parametrize("as_file", [True, False])
def test_npz_and_hdf5_with_keras_and_book_keys(tmp_path, digits, label, ending, as_file):
    arrays = {key.replace("y_", f"{label}_"): value for key, value in digits.items()}
    path = tmp_path / f"mnist.{ending}"
    if ending == "npz":
        np.savez(path, **arrays)
    else:
        with h5py.File(path, "w") as file:
            file.update(arrays)
    assert same(load_mnist(directory=path if as_file else tmp_path), digits)


def test_chainers_pair_of_npz_in_a_folder(tmp_path, digits):
    assert same(load_mnist(directory=chainer_cache(tmp_path, digits)), digits)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8, bool])
def test_one_hot_labels(tmp_path, digits, dtype):
    one_hot = {key: np.eye(10, dtype=dtype)[value] if key[0] == "y" else value for key, value in digits.items()}
    np.savez(tmp_path / "mnist.npz", **one_hot)
    assert same(load_mnist(directory=tmp_path), digits)


@pytest.mark.parametrize("shape", [(-1, 784), (-1, 1, 28, 28), (-1, 28, 28, 1)])
def test_shapes_that_mean_the_same(tmp_path, digits, shape):
    reshaped = {key: value.reshape(shape) if key[0] == "x" else value.astype(int) for key, value in digits.items()}
    np.savez(tmp_path / "mnist.npz", **reshaped)
    assert same(load_mnist(directory=tmp_path), digits)


# --- what is wrong with a file is said ---


@pytest.mark.parametrize(
    "key, change, says",
    [
        ("x_train", lambda x: x[:, :14], r"x_train: images have shape \(12, 14, 28\); wanted \(N, 28, 28\)"),
        ("x_test", lambda x: x.reshape(-1), "x_test: images have shape"),
        ("x_test", lambda x: np.uint8(1), r"x_test: images have shape \(\)"),
        ("x_train", lambda x: x[:0], "there are no images"),
        ("x_train", lambda x: x / 255.0, "dtype float64; wanted uint8.*rint"),
        ("x_train", lambda x: x.astype(np.int64) * 2, "pixels go from 0 to 510"),
        ("x_train", lambda x: x.astype(np.int8), "pixels go from -128"),
        ("x_train", lambda x: x[1:], r"11 images but .*y_train has 12 labels"),
        ("y_test", lambda y: y[:-1], r"5 images but .*y_test has 4 labels"),
        ("y_train", lambda y: y + 7, "labels go from 7 to 16|labels go from"),
        ("y_train", lambda y: y.astype(np.int64) - 9, "labels go from -"),
        ("y_train", lambda y: y.astype(np.float32), "dtype float32; wanted"),
        ("y_train", lambda y: y[:, None], r"shape \(12, 1\)"),
        ("y_train", lambda y: np.eye(9)[y % 9], r"shape \(12, 9\)"),
        ("y_train", lambda y: np.eye(10)[y] * 0.5, "row 0 is not one-hot"),
        ("y_train", lambda y: np.eye(10)[y] * (np.arange(12) != 3)[:, None], "row 3 is not one-hot"),
        ("y_train", lambda y: np.full((12, 10), np.nan), "row 0 is not one-hot"),
        ("y_train", lambda y: y.astype(object), "never loaded"),
        ("y_train", lambda y: y.astype(str), "wanted numbers"),
    ],
)
def test_wrong_content_names_file_and_array(tmp_path, digits, key, change, says):
    digits[key] = change(digits[key])
    np.savez(tmp_path / "mnist.npz", **digits)
    with pytest.raises(DataError, match=f"{tmp_path / 'mnist.npz'}: .*{says}") as caught:
        load_mnist(directory=tmp_path)
    assert "\n" not in str(caught.value)


def test_a_missing_array_is_named(tmp_path, digits):
    del digits["y_test"]
    np.savez(tmp_path / "mnist.npz", **digits)
    with pytest.raises(DataError, match="no array y_test or t_test in the file .it has x_test, x_train, y_train"):
        load_mnist(directory=tmp_path)


def test_idx_files_of_the_wrong_part(idx_folder):
    shutil.copy(idx_folder / "t10k-labels-idx1-ubyte.gz", idx_folder / "train-labels-idx1-ubyte.gz")
    with pytest.raises(DataError, match="12 images but .*train-labels-idx1-ubyte.gz has 5 labels"):
        load_mnist(directory=idx_folder)
    shutil.copy(idx_folder / "train-images-idx3-ubyte.gz", idx_folder / "train-labels-idx1-ubyte.gz")
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte.gz: labels have shape \(12, 28, 28\)"):
        load_mnist(directory=idx_folder)


def test_missing_idx_files_are_named(idx_folder):
    (idx_folder / "t10k-images-idx3-ubyte.gz").unlink()
    with pytest.raises(DataError, match="t10k-images-idx3-ubyte .* missing beside the other IDX files"):
        load_mnist(directory=idx_folder)


def test_a_damaged_file_in_a_cache_is_an_error_not_a_silent_change_of_data(tmp_path, digits):
    folder = chainer_cache(tmp_path / "root", digits)
    dataset.set_dataset_root(tmp_path / "root")
    (folder / "test.npz").write_bytes((folder / "test.npz").read_bytes()[:300])
    with pytest.raises(DataError, match="test.npz: the file is damaged or cut short"):
        load_mnist()


def test_named_places_without_data(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="the folder has no MNIST; wanted four IDX files"):
        find_mnist(directory=tmp_path / "empty")
    with pytest.raises(DataError, match="there is no such folder or file"):
        find_mnist(directory=tmp_path / "nowhere")
    (tmp_path / "text").write_text("no digits here")
    with pytest.raises(DataError, match="neither an npz nor an HDF5"):
        load_mnist(directory=tmp_path / "text")
    with pytest.raises(ValueError, match="no data set 'cifar'; wanted one of mnist, fashion-mnist, kmnist"):
        find_mnist("cifar")


# --- the order of places ---


def test_places_in_order(tmp_path, idx_folder, digits, monkeypatch):
    assert find_mnist().place.startswith("the built-in subset")

    cache = tmp_path / "cache"
    shutil.copytree(idx_folder, cache / "mnist")
    monkeypatch.setenv("MINIGAN_CACHE", str(cache))
    assert find_mnist().place == f"minigan's cache {cache / 'mnist'}"

    folder = chainer_cache(tmp_path / "chainer", digits)
    monkeypatch.setenv("CHAINER_DATASET_ROOT", str(tmp_path / "chainer"))
    assert find_mnist().place == f"Chainer's cache {folder}"

    np.savez(tmp_path / "one.npz", **digits)
    monkeypatch.setenv("MINIGAN_DATA", str(tmp_path / "one.npz"))
    assert find_mnist().place == str(tmp_path / "one.npz")

    set_data_directory(idx_folder)
    assert find_mnist().place == str(idx_folder)
    assert find_mnist(directory=tmp_path / "one.npz").place == str(tmp_path / "one.npz")


def test_environment_may_say_what_the_option_may(tmp_path, idx_folder, monkeypatch):
    monkeypatch.setenv("MINIGAN_DATA", "builtin")
    assert len(load_mnist().x_train) == 8000
    for word in ("builtin", "fashion", "mnist"):
        monkeypatch.setenv("MINIGAN_DATA", word)
        with pytest.raises(DataError, match="^Fashion-MNIST is not on this machine: no folder was named"):
            find_mnist("fashion-mnist")
    monkeypatch.setenv("MINIGAN_DATA", f"fashion:{idx_folder}")
    assert find_mnist("fashion-mnist").place == str(idx_folder)
    assert find_mnist("mnist").place.startswith("the built-in subset")
    monkeypatch.setenv("MINIGAN_DATA", "nowhere")
    with pytest.raises(DataError, match="^nowhere: there is no such folder or file"):
        find_mnist()


def test_offline_is_offline(monkeypatch):
    monkeypatch.setenv("MINIGAN_OFFLINE", "1")
    with pytest.raises(DataError, match="MINIGAN_OFFLINE is set, so MNIST is not downloaded"):
        download_mnist(opener=lambda url, timeout: pytest.fail("a download was tried"))


def test_default_caches_are_in_the_home_folder(tmp_path, digits, idx_folder):
    home = tmp_path / "home"
    shutil.copytree(idx_folder, home / ".cache" / "minigan" / "mnist")
    assert find_mnist().place == f"minigan's cache {home / '.cache' / 'minigan' / 'mnist'}"
    folder = chainer_cache(home / ".chainer" / "dataset", digits)
    assert find_mnist().place == f"Chainer's cache {folder}"


def test_half_of_chainers_cache_is_none(tmp_path, digits):
    folder = chainer_cache(tmp_path, digits)
    dataset.set_dataset_root(tmp_path)
    (folder / "test.npz").unlink()
    assert find_mnist().place.startswith("the built-in subset")


def test_looking_makes_no_folders(tmp_path):
    find_mnist()
    assert list((tmp_path / "home").iterdir()) == []


def test_fashion_has_no_built_in_subset():
    with pytest.raises(DataError, match="minigan data --download fashion, ") as caught:
        load_mnist("fashion-mnist")
    assert "\n" not in str(caught.value)


def test_one_set_is_not_taken_for_the_other(idx_folder, idx, digits, monkeypatch):
    """The two sets have the same file names; MNIST's labels in a folder that is read as Fashion-MNIST are noticed."""
    digest = hashlib.sha256(idx(digits["y_train"])).hexdigest()
    monkeypatch.setitem(mirrors.FILES["mnist"], mirrors.LABELS_TRAIN, mirrors.Published(20, digest))
    assert len(load_mnist("mnist", idx_folder).x_train) == 12
    with pytest.raises(DataError, match="these are the labels of mnist, not of fashion-mnist"):
        load_mnist("fashion-mnist", idx_folder)


# --- Chainer's form; values of Chainer 7.8.1 on the same files in its cache ---


@pytest.fixture
def cached(tmp_path, digits):
    chainer_cache(tmp_path / "root", digits)
    chainer_cache(tmp_path / "root", digits, "fashion-mnist")
    dataset.set_dataset_root(tmp_path / "root")
    return digits


@pytest.mark.parametrize("function", [get_mnist, get_fashion_mnist])
@pytest.mark.parametrize(
    "options, shape",
    [
        ({}, (784,)), ({"ndim": 2}, (28, 28)), ({"ndim": 3}, (1, 28, 28)),
        ({"ndim": 3, "rgb_format": True}, (3, 28, 28)), ({"ndim": 2, "rgb_format": True}, (28, 28)),
        ({"rgb_format": True}, (784,)),
    ],
)  # fmt: skip
def test_shapes_and_types_are_chainers(cached, function, options, shape):
    train, test = function(**options)
    assert isinstance(train, TupleDataset) and (len(train), len(test)) == (12, 5)
    image, label = train[3]
    assert image.shape == shape and image.dtype == np.float32
    assert type(label) is np.int32 and label == cached["y_train"][3]
    wanted = np.broadcast_to(cached["x_train"][3].reshape(shape[-2:] if len(shape) == 3 else shape), shape) / 255
    np.testing.assert_allclose(image, wanted, rtol=1e-6)
    bare, _ = function(withlabel=False, **options)
    assert isinstance(bare, np.ndarray) and bare.shape == (12, *shape)


def test_scale_and_dtypes(cached):
    assert get_mnist(withlabel=False, scale=255)[0].max() == 255
    assert get_mnist(withlabel=False, dtype=np.float64)[0].dtype == np.float64
    assert get_mnist(label_dtype=np.int64)[0][0][1].dtype == np.int64
    with configuration.using_config("dtype", np.float16):
        assert get_mnist(withlabel=False)[0].dtype == np.float16
    # numpy.float32(77) * (0.3 / 255.) as Chainer computes it: cast first, then scaled in place
    x = cached["x_train"].reshape(12, 784).astype(np.float32)
    x *= 0.3 / 255.0
    np.testing.assert_array_equal(get_mnist(withlabel=False, scale=0.3)[0], x)


def test_wrong_arguments_give_a_sentence(cached):
    with pytest.raises(ValueError, match="get_mnist: ndim is 4"):
        get_mnist(ndim=4)
    with pytest.raises(TypeError, match="get_fashion_mnist: dtype is uint8"):
        get_fashion_mnist(dtype=np.uint8)


def test_the_origin_is_said_once_on_stderr(cached, capsys):
    get_mnist()
    get_mnist(ndim=3)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("minigan: MNIST: 12 training and 5 test images from Chainer's cache")
    assert err.count("\n") == 1
    get_fashion_mnist()
    assert "Fashion-MNIST" in capsys.readouterr().err


def test_get_mnist_asks_the_network_unless_told_not_to(capsys, monkeypatch):
    get_mnist()
    assert "tests have no network" in capsys.readouterr().err
    monkeypatch.setenv("MINIGAN_OFFLINE", "1")
    train, test = get_mnist()
    err = capsys.readouterr().err
    assert "built-in subset" in err and "network" not in err
    assert (len(train), len(test)) == (8000, 2000)


def test_fashion_labels():
    assert len(get_fashion_mnist_labels()) == 10 and get_fashion_mnist_labels()[9] == "Ankle boot"


# --- the digits that come with the package ---


def test_the_built_in_subset():
    data = load_mnist()
    assert data.x_train.shape == (8000, 28, 28) and data.x_test.shape == (2000, 28, 28)
    assert np.bincount(data.y_train).tolist() == [800] * 10
    assert np.bincount(data.y_test).tolist() == [200] * 10
    assert data.source.startswith("MNIST: 8,000 training and 2,000 test images from the built-in subset")
    # Digits are white on black, in the middle, and of one kind are alike: means of the classes tell test digits apart.
    means = np.array([data.x_train[data.y_train == i].mean(axis=0) for i in range(10)]).reshape(10, 784)
    distances = ((data.x_test.reshape(-1, 1, 784) - means) ** 2).mean(axis=2)
    assert (distances.argmin(axis=1) == data.y_test).mean() > 0.75
    assert data.x_train[:, [0, -1]].mean() < 1 < 30 < data.x_train.mean() < 40


def test_the_built_in_files_are_small_and_carry_their_notice():
    folder = Path(minigan.datasets.__file__).parent / "data"
    assert sum(file.stat().st_size for file in folder.iterdir()) < 2_000_000
    notice = (folder / "NOTICE.md").read_text()
    for needed in ("subset", "LeCun", "Cortes", "Burges", "https://creativecommons.org/licenses/by-sa/3.0/"):
        assert needed in notice


@needs_shared
def test_the_built_in_subset_is_what_its_notice_says():
    whole, subset = load_mnist(directory=SHARED), load_mnist()
    for part, count in (("train", 800), ("test", 200)):
        labels = getattr(whole, f"y_{part}")
        where = [np.flatnonzero(labels == digit) for digit in range(10)]
        chosen = np.sort(np.concatenate([w[np.arange(count) * len(w) // count] for w in where]))
        np.testing.assert_array_equal(getattr(subset, f"x_{part}"), getattr(whole, f"x_{part}")[chosen])
        np.testing.assert_array_equal(getattr(subset, f"y_{part}"), labels[chosen])


@needs_shared
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_the_real_sets(name):
    data = load_mnist(name, SHARED)
    assert data.x_train.shape == (60000, 28, 28) and data.x_test.shape == (10000, 28, 28)
    assert np.bincount(data.y_test).min() >= 892 and data.x_train.max() == 255


@needs_shared
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_the_real_files_have_the_published_sums(name):
    for stem, published in mirrors.FILES[name].items():
        mirrors._verify((SHARED / name / f"{stem}.gz").read_bytes(), published)


# --- Kuzushiji-MNIST ---


def test_kuzushiji_mnist(tmp_path, digits, idx_folder, monkeypatch):
    assert get_kuzushiji_mnist_labels()[:2] == [("o", "お"), ("ki", "き")]
    assert get_kuzushiji_mnist_labels()[9] == ("wo", "を")
    with pytest.raises(ValueError, match="get_kuzushiji_mnist: ndim is 4"):
        get_kuzushiji_mnist(ndim=4)
    with pytest.raises(DataError, match="Kuzushiji-MNIST is not on this machine.*codh.*minigan data --download kmnist"):
        get_kuzushiji_mnist()
    monkeypatch.setenv("MINIGAN_DATA", f"kmnist:{idx_folder}")
    assert len(get_kuzushiji_mnist()[1]) == 5
    monkeypatch.delenv("MINIGAN_DATA")
    chainer_cache(tmp_path / "root", digits, "kuzushiji_mnist")  # the folder of Chainer 7.8.1
    dataset.set_dataset_root(tmp_path / "root")
    train, test = get_kuzushiji_mnist(ndim=3, rgb_format=True)
    assert (len(train), len(test)) == (12, 5) and train[0][0].shape == (3, 28, 28)
    assert [t for _, t in train] == digits["y_train"].tolist()


def test_a_file_whose_sum_is_known_as_it_is_packed(tmp_path, idx_folder, monkeypatch):
    packed = (idx_folder / "t10k-labels-idx1-ubyte.gz").read_bytes()
    known = mirrors.Published(len(packed), hashlib.sha256(packed).hexdigest(), True)
    mirrors._verify(packed, known)
    for wrong in (packed + b" ", packed[:-1], gzip.compress(gzip.decompress(packed), 1) + b"x"):
        with pytest.raises(ValueError, match="SHA-256 differs"):
            mirrors._verify(wrong, known)


@needs_shared
def test_the_real_kmnist(tmp_path):
    for stem in (mirrors.IMAGES_TEST, mirrors.LABELS_TEST):
        content = (SHARED / "kmnist" / f"{stem}.gz").read_bytes()
        mirrors._verify(content, mirrors.FILES["kmnist"][stem])
        for name in (stem, stem.replace("t10k", "train")):
            (tmp_path / f"{name}.gz").write_bytes(content)
    data = load_mnist("kmnist", tmp_path)
    assert data.x_test.shape == (10000, 28, 28) and np.bincount(data.y_test).tolist() == [1000] * 10
    with pytest.raises(DataError, match=r"kmnist: train-images-idx3-ubyte and .* are missing"):
        load_mnist("kmnist", SHARED)


def test_idx_header_of_the_built_in_files_is_big_endian():
    import lzma

    folder = Path(minigan.datasets.__file__).parent / "data"
    with lzma.open(folder / "t10k-images-idx3-ubyte.xz") as file:
        assert file.read(16) == bytes([0, 0, 8, 3]) + struct.pack(">3I", 2000, 28, 28)
