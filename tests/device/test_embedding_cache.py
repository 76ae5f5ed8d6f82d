"""Embeddings in a file: what was written is found again, what is not ours is left alone."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from edge_cnn.core.errors import InputError
from edge_cnn.device.finetuning.embedding_cache import DENSE, EmbeddingCache
from edge_cnn.device.finetuning.embedding_store import CodeView, MemoryStore, digest_of
from tests.unmeasured import unmeasured

ORIGIN = {"artifact": "00ff", "runtime": "litert 2.1"}
FEATURES = 5
INT8 = np.dtype(np.int8)


def rows_of(count, dtype=INT8):
    return np.random.default_rng(3).normal(0, 40, (count, FEATURES)).astype(dtype)


def digests_of(rows):
    return [digest_of(row) for row in rows]


def cache(path, origin=ORIGIN, features=FEATURES, dtype=INT8):
    return EmbeddingCache(path, origin, features, dtype)


def filled(path, rows):
    with cache(path, dtype=rows.dtype) as store:
        store.append(digests_of(rows), rows)
    return path.read_bytes()


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.float16, np.float32])
def test_rows_are_read_back_by_slice_by_number_and_by_digest_as_memory_gives_them(tmp_path, dtype):
    rows = rows_of(60, dtype)
    filled(tmp_path / "e", rows[:40])
    memory = MemoryStore(FEATURES, rows.dtype)
    memory.append(digests_of(rows), rows)
    with cache(tmp_path / "e", dtype=rows.dtype) as store:
        store.append(digests_of(rows[40:]), rows[40:])
        assert [store.find(digest) for digest in digests_of(rows)] == list(range(60))
        assert store.find(b"0" * 16) is None
        assert store.shape == memory.table.shape == (60, FEATURES)
        assert store.dtype == rows.dtype
        dense, sparse = np.array([7, 3, 3, 5]), np.array([59, 0, 31, 0])
        assert np.ptp(sparse) + 1 > DENSE * len(sparse), "else it is read as the dense ones are"
        for choice in (slice(None), slice(10, 20), slice(50, 99), slice(20, 10), slice(1, 50, 7), dense, sparse, []):
            np.testing.assert_array_equal(store[choice], rows[choice])
            np.testing.assert_array_equal(memory.table[choice], rows[choice])
        view = CodeView(store, np.array([50, 2, 2, 44]))
        assert view.shape == (4, FEATURES)
        np.testing.assert_array_equal(view[1:], rows[[2, 2, 44]])


def test_a_file_that_was_cut_anywhere_keeps_its_whole_rows_and_takes_more(tmp_path):
    rows = rows_of(9)
    empty = len(filled(tmp_path / "empty", rows[:0]))
    whole = filled(tmp_path / "whole", rows)
    record = (len(whole) - empty) // len(rows)
    assert empty + len(rows) * record == len(whole)
    path = tmp_path / "cut"
    for length in range(empty, len(whole) + 1):
        path.write_bytes(whole[:length])
        with cache(path) as store:
            there = (length - empty) // record
            np.testing.assert_array_equal(store[:], rows[:there])
            store.append(digests_of(rows[there:]), rows[there:])
        assert path.read_bytes() == whole, f"cut to {length} bytes"


def test_of_a_damaged_row_and_those_behind_it_none_is_trusted(tmp_path):
    rows = rows_of(9)
    empty = len(filled(tmp_path / "empty", rows[:0]))
    whole = filled(tmp_path / "e", rows)
    record = (len(whole) - empty) // len(rows)
    for place in range(empty, len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        (tmp_path / "e").write_bytes(damaged)
        with cache(tmp_path / "e") as store:
            assert len(store) == (place - empty) // record
            np.testing.assert_array_equal(store[:], rows[: len(store)])


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"origin": ORIGIN | {"artifact": "01"}}, "come from another model file, runtime or input range"),
        ({"origin": ORIGIN | {"runtime": "litert 2.2"}}, "come from another model file, runtime or input range"),
        ({"features": FEATURES + 1}, "come from another model file"),
        ({"dtype": np.dtype(np.uint8)}, "come from another model file"),
    ],
)
def test_embeddings_of_another_origin_are_refused_and_kept(tmp_path, other, said):
    before = filled(tmp_path / "e", rows_of(4))
    with pytest.raises(InputError, match=f"{said}.*; name another file, or remove it"):
        cache(tmp_path / "e", **other)
    assert (tmp_path / "e").read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"edge_cnn embeddings 2\n", bytes(100_000)])
def test_a_foreign_file_is_refused_and_kept(tmp_path, content):
    (tmp_path / "e").write_bytes(content)
    with pytest.raises(InputError, match="holds no embeddings; name another file"):
        cache(tmp_path / "e")
    assert (tmp_path / "e").read_bytes() == content


def test_a_folder_and_a_place_that_is_not_there_are_refused_in_one_line(tmp_path):
    for path in (tmp_path, tmp_path / "none" / "e"):
        with pytest.raises(InputError, match=r"^[^\n]+; (name|choose) another (file|place)$"):
            cache(path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_in_use_is_refused_until_it_is_closed(tmp_path):
    rows = rows_of(4)
    before = filled(tmp_path / "e", rows)
    with cache(tmp_path / "e"):
        with pytest.raises(InputError, match="another process uses the embeddings"):
            cache(tmp_path / "e")
        assert (tmp_path / "e").read_bytes() == before
    with cache(tmp_path / "e") as store:
        np.testing.assert_array_equal(store[:], rows)


def test_a_file_that_is_cut_while_it_is_in_use_is_told(tmp_path):
    filled(tmp_path / "e", rows_of(4))
    with cache(tmp_path / "e") as store:
        os.truncate(tmp_path / "e", 200)
        with pytest.raises(InputError, match="was cut short while it was in use; start again"):
            store[:]


def test_where_the_disk_is_full_the_rows_before_are_kept(tmp_path):
    rows = rows_of(50)
    empty = len(filled(tmp_path / "empty", rows[:0]))
    child = f"""
        import resource, sys
        import numpy as np
        from pathlib import Path
        from edge_cnn.device.finetuning.embedding_cache import EmbeddingCache
        from edge_cnn.device.finetuning.embedding_store import digest_of
        rows = np.load(sys.argv[1])
        with EmbeddingCache(Path(sys.argv[2]), {ORIGIN!r}, {FEATURES}, rows.dtype) as store:
            resource.setrlimit(resource.RLIMIT_FSIZE, ({empty} + 260, {empty} + 260))
            for row in rows:
                store.append([digest_of(row)], row[None])
    """
    np.save(tmp_path / "rows.npy", rows)
    words = [sys.executable, "-c", textwrap.dedent(child), str(tmp_path / "rows.npy"), str(tmp_path / "e")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, env=unmeasured())
    assert "cannot write the embeddings" in done.stderr
    assert "File too large; make room there" in done.stderr
    with cache(tmp_path / "e") as store:
        record = 16 + 4 + FEATURES
        np.testing.assert_array_equal(store[:], rows[: 260 // record])
