import contextlib
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from edge_cnn.cli.sole_writer import sole_writer
from edge_cnn.core.errors import InputError


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr(tempfile, "tempdir", None)


def test_a_second_writer_of_a_folder_is_refused_until_the_first_is_done(tmp_path):
    out = tmp_path / "out"
    (tmp_path / "link").symlink_to(out)
    with sole_writer(out):
        for name in (out, tmp_path / "link", tmp_path / "temporary" / ".." / "out"):
            with pytest.raises(InputError, match="another process is writing there; wait"), sole_writer(name):
                pass
        with sole_writer(tmp_path / "other"):
            pass
    with sole_writer(out):
        pass
    assert not out.exists()
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_writer_that_was_killed_keeps_nobody_out(tmp_path):
    out = tmp_path / "out"
    code = f"""
import os, signal
from pathlib import Path
from edge_cnn.cli.sole_writer import sole_writer
with sole_writer(Path({str(out)!r})):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert len(list((tmp_path / "temporary").iterdir())) == 1
    with sole_writer(out):
        pass


def test_of_many_at_once_one_writes_at_a_time(tmp_path):
    code = f"""
import os, time
from pathlib import Path
from edge_cnn.cli.sole_writer import sole_writer
from edge_cnn.core.errors import InputError
entered = 0
mark = Path({str(tmp_path)!r}) / "mark"
until = time.monotonic() + 1
while time.monotonic() < until:
    try:
        with sole_writer(Path({str(tmp_path)!r}) / "out"):
            mark.mkdir()  # fails where somebody else is inside
            mark.rmdir()
            entered += 1
    except InputError:
        pass
assert entered
"""
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(subprocess.Popen([sys.executable, "-c", code])) for _ in range(4)]
    assert [process.returncode for process in running] == [0] * 4


def test_training_twice_into_one_folder_is_refused(tmp_path, capsys):
    from edge_cnn.cli.main import main

    out = Path(tmp_path / "out")
    with sole_writer(out):
        assert main(["train", "--data", "digits", "--out", str(out)]) == 2
    assert "another process is writing there" in capsys.readouterr().err
