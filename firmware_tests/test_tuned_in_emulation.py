"""A file whose last layer was tuned inside an emulated ARM machine must be right on every device."""

from __future__ import annotations

import functools
import json

import pytest

from edge_cnn.core.bundle import read_bundle
from edge_cnn.core.npz import pack_npz
from edge_cnn.verify.devices.device import choose_runtime
from edge_cnn.verify.devices.device_command import run_edge_cnn
from edge_cnn.verify.devices.emulated_guests import AARCH64, ARMHF
from edge_cnn.verify.devices.emulated_linux_setup import EmulatedLinux
from edge_cnn.verify.devices.table import parse_device

pytestmark = pytest.mark.slow  # tunes in an emulator; test_tuned_parity.py tunes here

SAMPLES = 120


@pytest.fixture(scope="session")
def tune_there(bundle_path, tmp_path_factory):
    """guest -> our int8 .tflite file in a bundle, tuned once a session by `edge-cnn finetune` in that guest."""
    from edge_cnn.host.datasets import load_dataset

    @functools.cache
    def tune(guest):
        folder = tmp_path_factory.mktemp("tuned-there")
        samples = load_dataset("optdigits").train.select(slice(SAMPLES))
        (folder / "samples.npz").write_bytes(pack_npz({"x": samples.images, "y": samples.labels}))
        entries = read_bundle(bundle_path).manifest.artifacts
        name = next(e.name for e in entries if (e.scheme, e.format) == ("int8", "tflite"))
        words = ["finetune", bundle_path, "--artifact", name, "--data", folder / "samples.npz", "--json", "--quiet"]
        done = run_edge_cnn(parse_device(guest.name), [*words, "--out", folder / "tuned.edgecnn"])
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        assert document["after"]["holdout_accuracy"] > document["before"]["holdout_accuracy"]
        return read_bundle(folder / "tuned.edgecnn")

    return tune


@pytest.fixture(params=[AARCH64, ARMHF], ids=lambda guest: guest.name)
def tuned_there(request, tune_there):
    """What each guest made."""
    missing = EmulatedLinux(request.param).missing()
    if missing is not None:
        pytest.skip(f"{missing}; make it ready with: edge-cnn devices setup {request.param.name}")
    return tune_there(request.param)


def test_it_is_within_tolerance_on_the_device(device, tuned_there, judged):
    (artifact,) = tuned_there.artifacts
    runtime = choose_runtime(device, artifact)
    if runtime is None:
        pytest.skip(f"the device has no runtime for .{artifact.format} files")
    result = judged(tuned_there, artifact.name, device, runtime)
    assert result.passed, result.reason


def test_the_old_tflite_runtime_takes_it_too(tflite_runtime_device, tuned_there, judged):
    (artifact,) = tuned_there.artifacts
    result = judged(tuned_there, artifact.name, tflite_runtime_device, "tflite-runtime")
    assert result.passed, result.reason
