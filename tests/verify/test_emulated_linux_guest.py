"""On the emulated machines themselves: the same bits as here, the whole command line, and what goes wrong is told."""

import importlib.util
import json
import platform
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import edge_cnn
from edge_cnn.core.artifact import ONNX, Artifact
from edge_cnn.core.bundle import Bundle, read_bundle
from edge_cnn.core.errors import DeviceFailedError, DeviceUnavailableError
from edge_cnn.core.quantization import dequantize
from edge_cnn.core.samples import GoldenSamples
from edge_cnn.device.head.surgery import split_head
from edge_cnn.device.model_input import InputEncoder
from edge_cnn.device.runtimes.table import find_runtime
from edge_cnn.verify.devices.agent_device import AgentDevice
from edge_cnn.verify.devices.device_command import run_edge_cnn
from edge_cnn.verify.devices.emulated_guests import AARCH64, ARMHF
from edge_cnn.verify.devices.local import LocalDevice
from edge_cnn.verify.devices.table import find_kind, parse_device
from edge_cnn.verify.replay import judge

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = 32
"""Samples that are replayed: the emulator takes some milliseconds each."""

CRASHING_AGENT = """
import ctypes, os, sys
from edge_cnn.device import agent
answer = agent.Agent.answer
def crash(self, request):
    if request.header["op"] == "open":
        {crash}
    return answer(self, request)
agent.Agent.answer = crash
sys.exit(agent.main())
"""


def need(name):
    """Skip unless the machine is set up."""
    missing = find_kind(name).preparation.missing()
    if missing:
        pytest.skip(f"{name}: {missing}; make it ready with: edge-cnn devices setup {name}")


@pytest.fixture(scope="module")
def aarch64():
    """One running 64-bit machine for all tests that only ask it."""
    need(AARCH64.name)
    device = parse_device(AARCH64.name)
    yield device
    device.close()


@pytest.fixture(scope="module")
def resnet8(tmp_path_factory):
    """int8 TFLite, and int8 ONNX in QDQ form with uint8 and with symmetric int8 activations."""
    spec = importlib.util.spec_from_file_location("resnet8_bundle", ROOT / "tests/benchmarks/resnet8_bundle.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    path = tmp_path_factory.mktemp("resnet8") / "resnet8.edgecnn"
    module.write_bundle(path, ("rpi5", "rpi5-onnx", "jetson-orin"))
    return read_bundle(path)


@pytest.fixture(scope="module")
def short_path(bundle_path, tmp_path_factory):
    """Our own bundle with fewer golden samples."""
    bundle = read_bundle(bundle_path)
    golden, rows = bundle.golden, slice(GOLDEN)
    fewer = GoldenSamples(
        golden.inputs[rows],
        golden.labels[rows],
        golden.float_outputs[rows],
        {name: codes[rows] for name, codes in golden.outputs.items()},
        {name: codes[rows] for name, codes in golden.logits.items()},
    )
    path = tmp_path_factory.mktemp("short") / "digits.edgecnn"
    Bundle(bundle.manifest, bundle.artifacts, fewer, bundle.replay).write(path)
    return path


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """Handwriting of other people."""
    from edge_cnn.host.datasets import load_dataset

    part = load_dataset("optdigits").train.select(slice(120))
    path = tmp_path_factory.mktemp("samples") / "samples.npz"
    np.savez(path, x=part.images, y=part.labels)
    return path


def name_of(bundle, key):
    return next(e.name for e in bundle.manifest.artifacts if f"{e.scheme}.{e.format}" == key)


def codes_of(device, artifact, runtime, bundle, count):
    """Outputs of `count` random images, and the kernel family that made them."""
    opened = device.open(artifact, runtime)
    images = np.random.default_rng(7).integers(0, 256, (count, *bundle.golden.inputs.shape[1:]), np.uint8)
    codes = InputEncoder(bundle.manifest.preprocessing, opened.inputs[0]).encode(images)
    return opened.run((codes,))[0], opened.kernels().family


def codes_here(artifact, runtime, bundle, count):
    """As `codes_of`, on this machine."""
    device = LocalDevice()
    try:
        return codes_of(device, artifact, runtime, bundle, count)
    finally:
        device.close()


def logits_there_and_here(device, bundle, runtime):
    """Codes of the logits for each file of the runtime's format; a saturated softmax would hide a difference."""
    pairs = []
    for file in bundle.artifacts:
        if file.format == find_runtime(runtime).format:
            view = split_head(file).logits_view
            here, family = codes_here(view, runtime, bundle, 16)
            there, family_there = codes_of(device, view, runtime, bundle, 16)
            assert family_there == family
            assert len(np.unique(here)) > 10, "constant outputs would agree on any machine"
            pairs.append((there, here))
    return pairs


def saturates_ort():
    """Whether ONNX Runtime's x86 kernels saturate 16-bit partial sums here."""
    if platform.machine() != "x86_64":
        return False
    flags = Path("/proc/cpuinfo").read_text().split()
    return not {"avx512_vnni", "avx_vnni"} & set(flags)


@pytest.mark.parametrize("runtime", ["litert", "litert-ref"])
def test_int8_resnet8_is_the_same_bit_for_bit_here_and_on_aarch64(aarch64, resnet8, runtime):
    ((there, here),) = logits_there_and_here(aarch64, resnet8, runtime)
    np.testing.assert_array_equal(there, here)


def test_onnxruntime_rounds_few_logits_of_int8_resnet8_the_other_way_on_aarch64(aarch64, resnet8):
    if saturates_ort():
        pytest.skip("this processor has no VNNI, so ONNX Runtime saturates partial sums here; use one that has it")
    both_files = logits_there_and_here(aarch64, resnet8, "onnxruntime")
    assert len(both_files) == 2
    for there, here in both_files:
        gaps = np.abs(there.astype(int) - here)
        # It scales sums in floating point, which ARM fuses: 0 to 2.8 % of the logits of five networks, and 1 LSB each.
        assert gaps.max() <= 1
        assert (gaps > 0).mean() <= 0.05


def test_every_file_of_ours_passes_on_every_emulated_machine(short_path):
    need(AARCH64.name)
    need(ARMHF.name)
    names = ("qemu-aarch64", "qemu-aarch64:litert-ref", "qemu-aarch64:tflite-runtime", "qemu-armhf")
    report = edge_cnn.verify(short_path, device=names)
    report.check()
    ran = {(r.device, r.artifact.rpartition(".")[2], r.runtime) for r in report.results}
    assert ran == {
        ("qemu-aarch64", "tflite", "litert"),
        ("qemu-aarch64", "onnx", "onnxruntime"),
        ("qemu-aarch64:litert-ref", "tflite", "litert-ref"),
        ("qemu-aarch64:tflite-runtime", "tflite", "tflite-runtime"),
        ("qemu-armhf", "tflite", "tflite-runtime"),
    }
    by = {(r.device, r.artifact): r for r in report.results}
    int8 = name_of(read_bundle(short_path), "int8.tflite")
    assert by["qemu-aarch64:litert-ref", int8].parity.outputs.max_lsb == 0
    # Another rounding was at work, or this would be the reference kernels under another name.
    assert by["qemu-aarch64", int8].kernels == "xnnpack"


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("qemu-aarch64:litert", "int8.tflite"),
        ("qemu-aarch64:onnxruntime", "int8.onnx"),
        ("qemu-armhf:tflite-runtime", "int8.tflite"),
    ],
)
def test_fine_tuning_runs_whole_there_and_the_tuned_file_is_right_everywhere(name, key, short_path, samples, tmp_path):
    need(AARCH64.name)
    need(ARMHF.name)
    device, tuned = parse_device(name), tmp_path / "tuned.edgecnn"
    words = ["finetune", short_path, "--artifact", name_of(read_bundle(short_path), key), "--data", samples]
    done = run_edge_cnn(device, [*words, "--out", tuned, "--json", "--quiet"])
    assert done.returncode == 0, done.stderr
    # Not a word: neither a warning of numpy nor of a runtime.
    assert done.stderr == ""
    told = json.loads(done.stdout)
    assert told["saved"]
    assert told["after"]["holdout_accuracy"] > told["before"]["holdout_accuracy"] + 0.1
    before = read_bundle(short_path).artifact(read_bundle(tuned).artifacts[0].name)
    after = read_bundle(tuned).artifacts[0]
    assert after.data != before.data
    assert len(after.data) == len(before.data)
    others = ["qemu-aarch64", "qemu-armhf"] if key == "int8.tflite" else ["qemu-aarch64"]
    edge_cnn.verify(tuned, device=["local", *others]).check()


@pytest.mark.parametrize("key", ["int8.tflite", "int8.onnx"])
def test_a_file_that_was_tuned_here_is_right_there(key, short_path, samples, tmp_path):
    need(AARCH64.name)
    need(ARMHF.name)
    classifier = edge_cnn.open_classifier(short_path, artifact=name_of(read_bundle(short_path), key))
    with np.load(samples) as arrays:
        result = edge_cnn.finetune(classifier, arrays["x"], arrays["y"])
    assert result.improved
    result.classifier.save(tmp_path / "tuned.edgecnn")
    others = ["qemu-aarch64", "qemu-armhf"] if key == "int8.tflite" else ["qemu-aarch64"]
    edge_cnn.verify(tmp_path / "tuned.edgecnn", device=others).check()


def test_run_and_inspect_work_there(short_path, samples):
    need(ARMHF.name)
    device = parse_device("qemu-armhf")
    done = run_edge_cnn(device, ["run", short_path, samples, "--json", "--quiet"])
    assert done.returncode == 0, done.stderr
    here = subprocess.run(
        [sys.executable, "-m", "edge_cnn", "run", short_path, samples, "--json", "--quiet"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
        timeout=120,
    )
    last = [json.loads(text.splitlines()[-1]) for text in (done.stdout, here.stdout)]
    assert last[0]["count"] == last[1]["count"] == 120
    assert abs(last[0]["accuracy"] - last[1]["accuracy"]) <= 0.02
    # inspect loads the file in a child for each runtime: children of an emulated process must be emulated as well.
    done = run_edge_cnn(device, ["inspect", short_path, "--json"])
    assert done.returncode == 0, done.stderr
    assert '"tflite-runtime": "runs"' in done.stdout


def test_the_processor_model_that_computes_int8_wrong_is_caught_and_told_in_one_line(short_path):
    need(AARCH64.name)
    bundle = read_bundle(short_path)
    name = name_of(bundle, "int8.tflite")
    wrong = parse_device("qemu-aarch64:litert:cpu=max")
    try:
        here, _ = codes_here(bundle.artifact(name), "litert", bundle, 16)
        there, _ = codes_of(wrong, bundle.artifact(name), "litert", bundle, 16)
        result = judge(bundle, name, wrong, "litert")
    finally:
        wrong.close()
    grid = bundle.entry(name).output.quantization
    if np.abs(dequantize(there, grid) - dequantize(here, grid)).max() < 0.1:
        pytest.skip(f"the emulator at {wrong.python[-2]} computes int8 right with cpu=max; QEMU 7.2 does not")
    assert not result.passed
    assert "\n" not in result.reason
    assert "logits differ by up to" in result.reason
    single = short_path.with_name("single.edgecnn")
    golden = replace(
        bundle.golden,
        outputs={name: bundle.golden.outputs[name]},
        logits={name: bundle.golden.logits[name]},
    )
    manifest = replace(bundle.manifest, artifacts=(bundle.entry(name),))
    Bundle(manifest, (bundle.artifact(name),), golden).write(single)
    done = subprocess.run(
        [sys.executable, "-m", "edge_cnn", "verify", single, "--on", "qemu-aarch64:litert:cpu=max"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        timeout=300,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [f"{name} on qemu-aarch64:litert:cpu=max: FAILED"]
    assert sum("FAILED" in line for line in done.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("crash", "signal"), [("ctypes.string_at(0)", "SIGSEGV"), ("os.abort()", "SIGABRT")], ids=["segfault", "abort"]
)
def test_a_crash_there_names_the_artifact_and_the_signal(crash, signal, tmp_path, monkeypatch):
    need(AARCH64.name)
    monkeypatch.chdir(tmp_path)
    old = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (old[1], old[1]))
    machine = parse_device("qemu-aarch64")
    python = (*machine.python, "-P", "-c", CRASHING_AGENT.format(crash=crash))
    device = AgentDevice(machine.name, python, machine.advice, emulated=True)
    try:
        with pytest.raises(
            DeviceFailedError, match=rf"model\.tflite ended the agent on 'qemu-aarch64' with .*{signal}"
        ):
            device.open(Artifact("model.tflite", "tflite", b"\0\0\0\0TFL3"), "litert")
    finally:
        device.close()
        resource.setrlimit(resource.RLIMIT_CORE, old)
    assert not list(tmp_path.iterdir()), "the emulator left its core file"


def test_an_unknown_processor_model_comes_with_the_command_that_lists_them():
    need(AARCH64.name)
    device = parse_device("qemu-aarch64:cpu=pentium")
    with pytest.raises(DeviceUnavailableError, match=r"unable to find CPU model 'pentium'; see '.* -cpu help'"):
        device.runtimes(ONNX)
