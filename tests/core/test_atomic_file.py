import os

import pytest

from edge_cnn.core.atomic_file import replacing, write_atomically
from edge_cnn.core.errors import InputError


def test_the_old_file_stays_when_writing_fails(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(b"old")

    def interrupted():
        with replacing(path) as temporary:
            temporary.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["model.tflite"]


def test_the_new_file_replaces_the_old_one_with_ordinary_permissions(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(b"old")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_full_disk_is_one_clear_error(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edge_cnn.core.atomic_file.os.fsync", full)
    with pytest.raises(InputError, match="No space left"):
        write_atomically(tmp_path / "model.tflite", b"new")
    assert list(tmp_path.iterdir()) == []
