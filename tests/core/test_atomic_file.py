import os
import signal
import subprocess
import sys

import pytest

from edge_cnn.core.atomic_file import replacing, temporaries, write_atomically
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


WRITER = """
import os, pathlib, sys
from edge_cnn.core.atomic_file import replacing
with replacing(pathlib.Path(sys.argv[1])) as temporary:
    temporary.write_bytes(b"half")
    print(temporary.name, flush=True)
    sys.stdin.read()
"""


def writer_of(path):
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_what_a_killed_writer_left_is_removed_by_the_next_write_of_that_file(tmp_path):
    path = tmp_path / "model.tflite"
    with writer_of(path) as writer:
        left = tmp_path / writer.stdout.readline().strip()
        writer.send_signal(signal.SIGKILL)
    assert temporaries(path) == [left]
    write_atomically(tmp_path / "other.tflite", b"new")
    assert left.exists()
    write_atomically(path, b"new")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.tflite", "other.tflite"]
    assert path.read_bytes() == b"new"


def test_the_file_of_a_writer_that_lives_is_left_alone(tmp_path):
    path = tmp_path / "model.tflite"
    with writer_of(path) as writer:
        name = writer.stdout.readline().strip()
        write_atomically(path, b"of the other writer")
        assert (tmp_path / name).read_bytes() == b"half"
        writer.stdin.close()
    assert writer.returncode == 0
    assert path.read_bytes() == b"half"
    assert [p.name for p in tmp_path.iterdir()] == ["model.tflite"]


@pytest.mark.parametrize(
    "name", [".model-short.tflite", ".model-ABCDEFGH.tflite", ".model-abcdefgh.onnx", "model-abcdefgh.tflite"]
)
def test_files_of_other_names_are_nobody_s_leftovers(tmp_path, name):
    (tmp_path / name).write_text("mine")
    write_atomically(tmp_path / "model.tflite", b"new")
    assert (tmp_path / name).read_text() == "mine"


def test_a_folder_or_link_of_such_a_name_is_no_leftover(tmp_path):
    (tmp_path / ".model-abcdefgh.tflite").mkdir()
    (tmp_path / "kept").write_text("mine")
    (tmp_path / ".model-abcdefgi.tflite").symlink_to("kept")
    write_atomically(tmp_path / "model.tflite", b"new")
    assert (tmp_path / ".model-abcdefgh.tflite").is_dir()
    assert (tmp_path / ".model-abcdefgi.tflite").is_symlink()


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to(target)
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "target"]


def test_a_pipe_is_no_place_for_a_file(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(InputError, match="it is a pipe or a device"):
        write_atomically(pipe, b"new")
    assert pipe.is_fifo()
    assert [p.name for p in tmp_path.iterdir()] == ["pipe"]
