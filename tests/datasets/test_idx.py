import gzip
import lzma
import tracemalloc

import numpy as np
import pytest

from minigan.dataset import DataError
from minigan.datasets.idx import read_idx

IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)


@pytest.mark.parametrize("compress", [bytes, gzip.compress, lzma.compress])
def test_compression_is_told_by_the_content(tmp_path, idx, compress):
    path = tmp_path / "any-name"
    path.write_bytes(compress(idx(IMAGES)))
    result = read_idx(path)
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, IMAGES)


@pytest.mark.parametrize("kind, dtype", [(0x08, ">u1"), (0x09, ">i1"), (0x0B, ">i2"), (0x0C, ">i4"), (0x0D, ">f4"),
                                         (0x0E, ">f8")])  # fmt: skip
def test_all_types_of_the_format(tmp_path, idx, kind, dtype):
    array = np.array([[1, 2, 3], [-4, 5, 6]]).astype(dtype)
    (tmp_path / "f").write_bytes(idx(array, kind))
    result = read_idx(tmp_path / "f")
    assert result.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(result, array)


def broken(idx):
    whole = idx(IMAGES)
    packed = gzip.compress(whole)
    squeezed = lzma.compress(whole)
    wrong_sum = bytearray(packed)
    wrong_sum[-6] ^= 0xFF
    wrong_xz = bytearray(squeezed)
    wrong_xz[30] ^= 0xFF
    return {
        "empty": (b"", "the file is empty"),
        "html": (b"<html>404</html>", "no IDX file"),
        "three bytes": (whole[:3], "no IDX file"),
        "cut header": (whole[:9], "ends inside its IDX header"),
        "cut content": (whole[:-1], "24 bytes, but only 23 follow"),
        "more content": (whole + b"x", "24 bytes, but more follow"),
        "false count": (idx(IMAGES, shape=(3, 3, 4)), r"shape \(3, 3, 4\), 36 bytes, but only 24"),
        "huge count": (idx(IMAGES, shape=(2**32 - 1, 28, 28)), "header is false"),
        "large count": (idx(IMAGES, shape=(1000000, 28, 28)), "header is false"),
        "overflowing count": (idx(IMAGES, shape=(2**31, 2**31, 4)), "header is false"),
        "false type": (idx(IMAGES, kind=0x0C), "96 bytes, but only 24"),
        "no type": (idx(IMAGES, kind=0x07), "type 0x07 with 3 axes"),
        "no axes": (bytes([0, 0, 8, 0]) + b"x", "type 0x08 with 0 axes"),
        "many axes": (bytes([0, 0, 8, 200]) + b"x" * 900, "with 200 axes"),
        "gz cut": (packed[:-12], "damaged or cut"),
        "gz without end": (packed[:-4], "damaged or cut"),
        "gz header only": (packed[:5], "damaged or cut"),
        "gz wrong sum": (bytes(wrong_sum), "damaged or cut"),
        "gz of rubbish": (packed[:10] + b"\xff" * 30, "damaged or cut"),
        "gz of nothing": (gzip.compress(b""), "the file is empty"),
        "xz cut": (squeezed[:-20], "damaged or cut"),
        "xz wrong": (bytes(wrong_xz), "damaged or cut"),
    }


@pytest.mark.parametrize("case", broken(lambda a, kind=8, shape=None: b"0" * 40))
def test_broken_files_give_a_sentence_and_cost_no_memory(tmp_path, idx, case):
    content, says = broken(idx)[case]
    path = tmp_path / "broken-file"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=f"broken-file: .*{says}") as caught:
            read_idx(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)
    assert peak < 20_000_000


def test_a_python_without_lzma_reads_the_rest(tmp_path, idx, monkeypatch):
    monkeypatch.setattr("minigan.datasets.idx.lzma", None)
    (tmp_path / "a.xz").write_bytes(lzma.compress(idx(IMAGES)))
    with pytest.raises(DataError, match="a.xz: this Python was built without the lzma module"):
        read_idx(tmp_path / "a.xz")


def test_a_file_that_cannot_be_opened(tmp_path):
    with pytest.raises(DataError, match="nowhere: the file cannot be read"):
        read_idx(tmp_path / "nowhere")
    with pytest.raises(DataError, match="cannot be read"):
        read_idx(tmp_path)


def test_a_gzip_bomb_is_left_alone(tmp_path, idx):
    """30 MB of zeros behind a header of 24 bytes: reading stops one byte after what the header says."""
    path = tmp_path / "bomb"
    path.write_bytes(gzip.compress(idx(IMAGES) + bytes(30_000_000)))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="but more follow"):
            read_idx(path)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
