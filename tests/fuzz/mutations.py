"""Valid files made wrong: bytes changed anywhere, and the structure changed with all checksums right."""

import functools
import gzip
import io
import json
import lzma
import re
import struct
import warnings
import zipfile
import zlib

import h5py
import numpy as np

NUMBERS = [0, 1, 2, 7, 127, 128, 255, 256, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1]
TEXTS = ["", "x", "nan", "-1", "1e999", "[]", "{}", "[1]", '[{"a":', "[" * 5000, "9" * 5000, '{"a": 1, "a": 2}', "ä\0"]
ARRAYS = [
    *(np.array(x) for x in (-1, 2**62, 2.5, np.nan, -np.inf, True, 1j, "text", b"bytes", "9" * 3000)),
    *(np.zeros(shape, kind) for shape in ((), (0,), (1,), (3,), (2, 3), (0, 5), (1,) * 20) for kind in ("f4", ">f8")),
    np.full((4, 4), np.nan, "f2"), np.array(["a", "b"]), np.zeros(2, "M8[s]"), np.zeros(2, [("a", "i4")]),
    np.asfortranarray(np.ones((3, 2), ">c8")), np.array(None), np.array([None, {}], object), np.zeros(3, "V8"),
]  # fmt: skip
HEADERS = [
    (b"'<f4'", b"'|O'"), (b"'<f4'", b"'>f4'"), (b"'<f4'", b"'<U9'"), (b"'<f4'", b"[('a', '<f4')]"),
    (b"'<f4'", b"'<f400000000'"), (b"(", b"(((("), (b"(", b"(-"), (b"(", b"(99999999999999999999,"),
    (b"(", b"(4294967296, 4294967296, "), (b"(", b"(0, "), (b", }", b", 'x': __import__('os')}"), (b"False", b"True"),
    (b"'shape'", b"'form'"), (b" ", b"\0"), (b"\x01\0", b"\x02\0"), (b"\x01\0", b"\x03\0"), (b"\x01\0", b"\x09\0"),
]  # fmt: skip


def pick(rng, items):
    return items[rng.randrange(len(items))]


def change_bytes(rng, content, others):
    """Change a few places, or cut, repeat, or join with another file."""
    data = bytearray(content)
    for _ in range(pick(rng, (1, 1, 1, 2, 3, 8))):
        at = rng.randrange(len(data) or 1)
        how = rng.randrange(10)
        if how < 3:
            data[at : at + 1] = bytes([(data[at] if data else 0) ^ 1 << rng.randrange(8)])
        elif how < 5:
            data[at : at + 1] = bytes([pick(rng, NUMBERS) % 256])
        elif how < 7:  # a number of the structure; most stand at multiples of their size
            size = pick(rng, (2, 4, 8))
            number = pick(rng, (*NUMBERS, len(data), at, rng.randrange(len(data) + 1)))
            data[at // size * size : at // size * size + size] = (number % 256**size).to_bytes(
                size, pick(rng, ("little", "big"))
            )
        elif how == 7:
            other = rng.randrange(len(data) or 1)
            size = rng.randrange(1, 40)
            data[at : at + size] = data[other : other + size]
        elif how == 8:
            del data[at : at + rng.randrange(1, 40)]
        elif rng.random() < 0.5:
            del data[at:]
        else:
            data[at:] = pick(rng, others)[at:]
    return bytes(data)


def change_json(rng, text):
    """Another JSON value of nearly the same shape, or a text that is none."""
    if rng.random() < 0.4:
        return pick(rng, TEXTS) if rng.random() < 0.5 else change_bytes(rng, text.encode(), [b"[]"]).decode("latin1")

    def other(value):
        if rng.random() < 0.2:
            return pick(rng, (None, -1, 0, 10**30, float("nan"), 2.5, True, "x", [], {}, [[1, 2]], {"a": 1}, [value]))
        if isinstance(value, dict):
            return {key + "x" * (rng.random() < 0.02): other(v) for key, v in value.items() if rng.random() > 0.02}
        return [other(v) for v in value] if isinstance(value, list) else value

    return json.dumps(other(json.loads(text)))


def change_array(rng, array):
    """An array in place of another."""
    if array.dtype.kind == "U" and not array.ndim and str(array)[:1] in "[{" and rng.random() < 0.8:
        return np.array(change_json(rng, str(array)))
    how = rng.randrange(6)
    if how == 0 and array.dtype.kind in "biuf":
        array = array.copy()
        array.flat[rng.randrange(array.size) if array.size else 0 : 1] = pick(rng, (0, 1))
        return array
    if how == 1:
        return array.reshape(-1) if array.ndim != 1 else array[None]
    if how == 2 and array.ndim:
        return np.concatenate([array, array])
    if how == 3 and array.dtype.kind in "iuf":
        return array.astype(pick(rng, ("f2", ">f4", "f8", "i1", "i8", "u8", "c8")))
    if how == 4 and array.dtype.kind in "if":
        return -1 - array
    return pick(rng, ARRAYS)


def npy(array):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asarray(array))
    return stream.getvalue()


MEGABYTE = bytes(1 << 20)
BOMB_SIZE = 384 << 20


@functools.cache
def bomb_of(head):
    """Zeros behind `head`, deflated, and their checksum."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed, crc = packer.compress(head), zlib.crc32(head)
    for _ in range(BOMB_SIZE >> 20):
        packed, crc = packed + packer.compress(MEGABYTE), zlib.crc32(MEGABYTE, crc)
    return packed + packer.flush(), crc


def change_npz(rng, content, others):
    """Write the archive anew with a few things wrong."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    for _ in range(pick(rng, (1, 1, 2, 4))):
        at = rng.randrange(len(members)) if members else 0
        if not members:
            break
        name, data = members[at]
        how = rng.randrange(12)
        if how < 4:
            try:
                array = np.load(io.BytesIO(data), allow_pickle=True)  # our own bytes
            except Exception:  # changed already
                array = ARRAYS[0]
            members[at] = name, npy(change_array(rng, array))
        elif how < 7:
            old, new = pick(rng, HEADERS)
            members[at] = name, data.replace(old, new, 1)
        elif how == 7:
            members[at] = name, change_bytes(rng, data, [content])
        elif how == 8:
            del members[at]
        elif how == 9:
            members.append(
                (pick(rng, (name, "../" + name, "/" + name, name + "/x.npy", "x" * 60000 + ".npy", "ä.npy")), data)
            )
        elif how == 10:
            members[at] = pick(rng, (name[:-4], name.upper(), "./" + name, name.replace("/", "\\"))), data
        else:
            members.append(("extra.npy", b"\x93NUMPY"))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of names that are there twice
            for name, data in members:
                archive.writestr(name or "x", data, pick(rng, (8, 8, 8, 8, 0, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)))
    result = stream.getvalue()
    if rng.random() < 0.1:  # flags (encrypted ...), methods and sizes in the directory
        at = result.rfind(b"PK\x01\x02") + pick(rng, (8, 10, 16, 20, 24, 28, 42))
        result = result[:at] + pick(rng, NUMBERS).to_bytes(8, "little")[: pick(rng, (2, 4))] + result[at + 4 :]
    return result


def bomb(rng, content, others):
    """Let one member inflate to 400 MB of zeros; its header, the directory and the checksum are right."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    target = pick(rng, sorted(members))
    kind, shape = pick(
        rng, (("<f4", (BOMB_SIZE // 4,)), ("|u1", (BOMB_SIZE,)), (f"<U{BOMB_SIZE // 4}", ()), ("|u1", (0,)))
    )
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": kind, "fortran_order": False, "shape": shape})
    head = (
        head.getvalue() if kind != "|u1" or shape[0] else b"\x93NUMPY\x02\x00" + (BOMB_SIZE - 100).to_bytes(4, "little")
    )
    packed, crc = bomb_of(head)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in members.items():
            if name != target:
                archive.writestr(name, data, 8)
        info = zipfile.ZipInfo(target)
        archive.writestr(info, packed, 0)
        info.compress_type, info.file_size, info.CRC = 8, len(head) + BOMB_SIZE, crc
    result = bytearray(stream.getvalue())
    result[info.header_offset + 8] = 8
    return bytes(result)


@functools.cache
def hdf5_entries(content):
    """All arrays of a valid file."""
    entries = {}
    with h5py.File(io.BytesIO(content)) as file:
        file.visititems(
            lambda name, entry: entries.update({name: entry[()]}) if isinstance(entry, h5py.Dataset) else None
        )
    return entries


def change_hdf5(rng, content, others):
    """Write the file anew, by the HDF5 library, with a few things wrong."""
    entries = hdf5_entries(content)
    stream = io.BytesIO()
    wrong = set(rng.sample(sorted(entries), min(len(entries), pick(rng, (1, 1, 2, 4)))))
    late = rng.random() < 0.05
    with h5py.File(stream, "w", libver="latest" if late else None) as file:
        if rng.random() < 0.05:
            file.attrs["x"] = np.arange(3)
        for name, value in entries.items():
            how = rng.randrange(16) if name in wrong else -1
            array = np.asarray(value)
            big = {"compression": 4} if array.size > 1 else {}
            try:
                if how in (-1, 0):
                    file.create_dataset(name, data=value, **(big if how else {}))
                elif how == 1:
                    continue
                elif how in (2, 3, 4):
                    array = np.asarray(value.decode()) if isinstance(value, bytes) else array
                    other = change_array(rng, array)
                    file.create_dataset(name, data=str(other) if other.dtype.kind == "U" and not other.ndim else other)
                elif how == 5:
                    file[name] = h5py.SoftLink(pick(rng, ("/" + name, "/", "/nowhere", ".")))
                elif how == 6:
                    file[name] = h5py.ExternalLink(pick(rng, ("elsewhere", "other.h5", "")), "/x")
                elif how == 7:
                    file.create_group(name)["x"] = 1
                elif how == 8:
                    file.create_dataset(name, array.shape, "f4", external=[("elsewhere", 0, h5py.h5f.UNLIMITED)])
                elif how == 9:
                    layout = h5py.VirtualLayout(array.shape or (1,), "f4")
                    layout[...] = h5py.VirtualSource("elsewhere", "x", array.shape or (1,))
                    file.create_virtual_dataset(name, layout)
                elif how == 10:
                    file.create_dataset(name, (10**12, 3), "f4", chunks=(10, 3), maxshape=(None, 3))
                elif how == 11:
                    file.create_dataset(
                        name,
                        data=array,
                        **pick(rng, ({"compression": "lzf"}, {"fletcher32": True}, {"scaleoffset": 3})),
                    )
                elif how == 12:
                    kind = pick(
                        rng, (np.dtype([("a", "f4")]), h5py.enum_dtype({"A": 1}), h5py.ref_dtype, h5py.vlen_dtype("i4"))
                    )
                    file.create_dataset(name, array.shape, kind)
                elif how == 13:
                    file[name + "_type"] = np.dtype("f4")
                    file.create_dataset(name, array.shape, file[name + "_type"])
                elif how == 14:
                    file[name] = file[pick(rng, ("/", *(key for key in entries if key in file)))]  # a circle, or a twin
                else:
                    file.create_dataset(name, data=h5py.Empty(pick(rng, ("f4", "S3"))))
            except (TypeError, ValueError, OSError, KeyError, RuntimeError, NotImplementedError, OverflowError):
                pass  # h5py refuses to write some of it
    result = stream.getvalue()
    return change_bytes(rng, result, others) if rng.random() < 0.3 else result


def change_idx(rng, content, others):
    """Change a plain, gzip or xz file under its compression."""
    packers = {b"\x1f\x8b": (gzip.decompress, gzip.compress), b"\xfd7": (lzma.decompress, lzma.compress)}
    unpack, pack = packers.get(content[:2], (bytes, bytes))
    data = bytearray(unpack(content))
    how = rng.randrange(5)
    if how == 0:
        data[2:4] = pick(rng, (b"\x08\x03", b"\x0d\x01", b"\x0e\x08", b"\x08\0", b"\x08\xff", b"\x07\x01"))
    elif how == 1:
        at = 4 * rng.randrange(1, 4)
        data[at : at + 4] = struct.pack(">I", pick(rng, NUMBERS) % 2**32)
    elif how == 2:
        data += bytes(rng.randrange(1, 2000))
    else:
        data = bytearray(change_bytes(rng, bytes(data), others))
    if rng.random() < 0.003:
        head = struct.pack(">BBBBI", 0, 0, 8, 1, pick(rng, (10, BOMB_SIZE, 2**32 - 1)))
        packed, crc = bomb_of(head)
        return gzip.compress(b"")[:10] + packed + struct.pack("<II", crc, len(head) + BOMB_SIZE)
    return pack(bytes(data)) + (b"tail" if rng.random() < 0.1 else b"")


def change_json_file(rng, content, others):
    """Change the text of a JSON file."""
    text = content.decode()
    if rng.random() < 0.1:
        return (
            re.sub(r'("\w+": )', lambda m: m.group() * (1 + (rng.random() < 0.1)), text).replace(': "', ": ").encode()
        )
    return change_json(rng, text).encode("utf-8" if rng.random() < 0.9 else "utf-16", "replace")
