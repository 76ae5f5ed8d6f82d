"""A fine-tuning in an emulated ARM machine is done again from its log to the same bytes, and nowhere else."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge_cnn.core.npz import pack_npz
from edge_cnn.verify.devices.device_command import run_edge_cnn
from edge_cnn.verify.devices.emulated_guests import AARCH64
from edge_cnn.verify.devices.emulated_linux_setup import EmulatedLinux
from edge_cnn.verify.devices.table import parse_device
from tests.device.small_bundles import small_bundle

SAMPLES, TIMES, LIMIT_S = 40, 10, 900

REPLAY = """\
import sys
from edge_cnn.cli.main import main
times, log, folder, *words = sys.argv[1:]
status = main([*words, "--out", f"{folder}/tuned.edgecnn", "--log", log])
for number in range(int(times)):
    status = status or main([*words, "--out", f"{folder}/{number}.edgecnn", "--reproduce", log])
sys.exit(status)
"""
"""In one process, since a start of Python in the emulator takes longer than a small fine-tuning."""

# In one process: what they share takes most of a minute to make.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("replay in emulation")]


@dataclass(frozen=True)
class Folder:
    """model.edgecnn and samples.npz; what the emulated machine made of them lies in `there`, with log.json."""

    path: Path

    @property
    def there(self) -> Path:
        return self.path / "there"

    @property
    def words(self) -> list[str]:
        return ["finetune", str(self.path / "model.edgecnn"), "--data", str(self.path / "samples.npz"), "--quiet"]


@pytest.fixture(scope="session")
def replay_there(bundle_path, tmp_path_factory):
    """Format -> the folder where it was tuned and replayed, once a session."""
    from edge_cnn.host.datasets import load_dataset

    @functools.cache
    def replay(format):
        folder = Folder(tmp_path_factory.mktemp("replayed-there"))
        samples = load_dataset("optdigits").train.select(slice(SAMPLES))
        small_bundle(bundle_path, "int8", format).write(folder.path / "model.edgecnn")
        (folder.path / "samples.npz").write_bytes(pack_npz({"x": samples.images, "y": samples.labels}))
        folder.there.mkdir()
        device = parse_device(AARCH64.name)
        log = folder.there / "log.json"
        done = subprocess.run(
            [*device.python, "-P", "-c", REPLAY, str(TIMES), str(log), str(folder.there), *folder.words],
            env=device.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return folder

    return replay


@pytest.fixture(params=["tflite", "onnx"])
def replayed(request, replay_there):
    """int8 of each format."""
    missing = EmulatedLinux(AARCH64).missing()
    if missing is not None:
        pytest.skip(f"{missing}; make it ready with: edge-cnn devices setup {AARCH64.name}")
    return replay_there(request.param)


def test_a_log_is_done_again_there_ten_times_to_the_same_bytes(replayed):
    tuned = (replayed.there / "tuned.edgecnn").read_bytes()
    again = [replayed.there / f"{number}.edgecnn" for number in range(TIMES)]
    assert all(out.read_bytes() == tuned for out in again)
    assert {path.name for path in replayed.there.iterdir()} == {
        "log.json",
        "tuned.edgecnn",
        *(out.name for out in again),
    }


def test_a_log_of_another_kind_of_processor_is_refused_in_one_line(replayed, tmp_path):
    """Both ways: this machine's log there, and the log from there here."""
    device = parse_device(AARCH64.name)
    here, there = tmp_path / "here.json", replayed.there / "log.json"
    words = [*replayed.words, "--out", str(tmp_path / "here.edgecnn"), "--log", str(here)]
    this_machine = [sys.executable, "-P", "-m", "edge_cnn"]
    assert subprocess.run([*this_machine, *words], check=False).returncode == 0
    machines = [json.loads(log.read_text())["origin"]["machine"] for log in (here, there)]
    if machines[0] == machines[1]:
        pytest.skip("this machine is of the same kind")
    out = tmp_path / "again.edgecnn"
    refused = [
        run_edge_cnn(device, [*replayed.words, "--out", out, "--reproduce", here]),
        subprocess.run(
            [*this_machine, *replayed.words, "--out", str(out), "--reproduce", str(there)],
            capture_output=True,
            text=True,
            check=False,
        ),
    ]
    for done, (now, was) in zip(refused, (machines[::-1], machines), strict=True):
        assert done.returncode == 2, done.stderr
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"error: the log was made with another kind of processor: {was}, here it is {now}")
    assert {path.name for path in tmp_path.iterdir()} == {"here.json", "here.edgecnn"}
