"""Streams that are closed, as pipes and service managers leave them."""

import os
import subprocess
import sys

import numpy as np
import pytest

EDGE_CNN = [sys.executable, "-m", "edge_cnn"]


@pytest.fixture
def digits(tmp_path, digits_split):
    np.savez(tmp_path / "d.npz", x=digits_split[1].images[:500], y=digits_split[1].labels[:500])
    return tmp_path / "d.npz"


@pytest.mark.parametrize("command", [["run", "BUNDLE", "DATA"], ["verify", "BUNDLE"], ["targets"]])
def test_a_reader_that_has_gone_is_no_failure(bundle_path, digits, command):
    words = [{"BUNDLE": str(bundle_path), "DATA": str(digits)}.get(word, word) for word in command]
    reading, writing = os.pipe()
    os.close(reading)
    child = subprocess.run([*EDGE_CNN, *words], stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert child.returncode == 0
    assert "error" not in child.stderr


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_streams_do_no_harm(bundle_path, digits, closed):
    command = f"{sys.executable} -m edge_cnn run {bundle_path} {digits} {closed}"
    assert subprocess.run(["/bin/sh", "-c", command], capture_output=True, check=False).returncode == 0


def test_files_in_the_current_folder_are_never_imported(bundle_path, tmp_path):
    (tmp_path / "numpy.py").write_text("import pathlib; pathlib.Path('imported').touch()")
    code = f"import sys; from edge_cnn.cli.main import main; sys.exit(main(['inspect', {str(bundle_path)!r}]))"
    child = subprocess.run([sys.executable, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "refuses" not in child.stdout
    assert not (tmp_path / "imported").exists()
