import io
import tracemalloc
import zipfile

import numpy as np
import pytest

from edge_cnn.core.errors import DataError
from edge_cnn.core.npz import pack_npz, unpack_npz

LIMIT = 2**20


def npy(array) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def npz(content: bytes, method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("x.npy", content)
    return buffer.getvalue()


def header(shape: str, descr: str = "'|u1'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text


ARRAYS = pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.int8).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array(["a", "grün"]),
        np.float32(3),
        np.zeros((0, 4), ">i2"),
    ],
)


@ARRAYS
def test_numpy_reads_what_was_packed_with_its_shape(array):
    with np.load(io.BytesIO(pack_npz({"x": array})), allow_pickle=False) as packed:
        back = packed["x"]
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(back, array)


@ARRAYS
def test_what_numpy_wrote_comes_back_packed_and_plain(array):
    for save in (np.savez, np.savez_compressed):
        buffer = io.BytesIO()
        save(buffer, x=array)
        back = unpack_npz(buffer.getvalue(), name="x.npz", max_bytes=LIMIT)["x"]
        np.testing.assert_array_equal(back, array)
        assert back.dtype == np.asarray(array).dtype


def test_what_is_packed_here_is_read_by_numpy():
    with np.load(io.BytesIO(pack_npz({"outputs/a": np.arange(3)}))) as arrays:
        np.testing.assert_array_equal(arrays["outputs/a"], [0, 1, 2])


@pytest.mark.parametrize("number", [np.float64(0.1), np.array(3), np.array("quasi-newton")])
def test_a_number_stays_a_number(number):
    packed = pack_npz({"a": number})
    for found in (unpack_npz(packed, name="x", max_bytes=LIMIT)["a"], np.load(io.BytesIO(packed))["a"]):
        assert found.shape == ()
        assert found == number


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"plain text", "magic string"),
        (b"", "readable"),
        (npy(np.array([{}], object)), "Python objects"),
        (header("(1000000000000,)") + b"abc", "but holds 3 bytes"),
        (header("(4,)") + b"abc", "but holds 3 bytes"),
        (header("(2,)") + b"abc", "but holds 3 bytes"),
        (header("(-1, -3)") + b"abc", "but holds 3 bytes"),
        (header(f"(0, {2**70})"), "readable"),
        (header("3") + b"abc", "shape"),
        (header("(3,)", "'nonsense'") + b"abc", "descr"),
        (header("((((") + b"abc", "readable"),
        (b"\x93NUMPY\x09\0" + bytes(100), "version"),
    ],
)
def test_a_member_that_is_no_array_of_its_size_is_one_clear_line(content, said):
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=said) as error:
            unpack_npz(npz(content), name="x.npz", max_bytes=LIMIT)
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_than_those_of_numpy_are_refused(method):
    with pytest.raises(DataError, match="compressed with method"):
        unpack_npz(npz(npy(np.zeros(9)), method), name="x.npz", max_bytes=LIMIT)


def test_damaged_bytes_give_arrays_or_a_data_error():
    rng = np.random.default_rng(0)
    whole = npz(npy(np.arange(300)), zipfile.ZIP_DEFLATED)
    refused = 0
    for _ in range(1000):
        data = bytearray(whole)
        data[rng.integers(len(data))] = rng.integers(256)
        try:
            unpack_npz(bytes(data), name="x.npz", max_bytes=LIMIT)
        except DataError:
            refused += 1
    assert refused > 500


def test_memory_that_is_not_there_is_a_data_error(monkeypatch):
    def exhausted(*_, **__):
        raise MemoryError

    monkeypatch.setattr(np.lib.format, "read_array", exhausted)
    with pytest.raises(DataError, match="does not fit into the memory"):
        unpack_npz(npz(npy(np.zeros(9))), name="x.npz", max_bytes=LIMIT)


def test_more_than_the_limit_is_refused():
    with pytest.raises(DataError, match="the limit is 100"):
        unpack_npz(npz(npy(np.zeros(99))), name="x.npz", max_bytes=100)
