"""Of several processes that want the same result at once, one makes it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.source_fingerprint import ROOT

CONFTEST = """
import pathlib, time
import pytest
from tests.made_once import made_once

def make(folder):
    with (pathlib.Path(__file__).parent / "made").open("a") as told:
        told.write("x")
    time.sleep(0.5)
    (folder / "result").write_text("whole")

@pytest.fixture(scope="session")
def result(request, tmp_path_factory):
    return made_once(request, tmp_path_factory, "thing", "tests.unmeasured", make)
"""


def test_two_sessions_at_once_and_a_third_share_one_result(tmp_path: Path):
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(
        "def test_it(result):\n    assert (result / 'result').read_text() == 'whole'\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", "pytest", "-q", "--rootdir", str(tmp_path), str(tmp_path)]
    both = [subprocess.Popen(words, env=environment, cwd=tmp_path, stdout=subprocess.PIPE) for _ in range(2)]
    for process in both:
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 0, said
    assert subprocess.run(words, env=environment, cwd=tmp_path, check=False, capture_output=True).returncode == 0
    assert (tmp_path / "made").read_text() == "x"
