"""`install`, `status`, `rollback`, and a slot in the place of a MODEL, with real models and real checks."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import edge_cnn
from edge_cnn.cli.main import main
from edge_cnn.core.bundle import Bundle, read_bundle
from edge_cnn.device.slots.folder import LOCK, RECORDS, read_state
from edge_cnn.device.slots.update import open_for_change


@pytest.fixture
def small(bundle, tmp_path):
    """A bundle with the int8 TFLite file alone: a check of one artifact is enough here."""
    entry = next(e for e in bundle.manifest.artifacts if (e.scheme, e.format) == ("int8", "tflite"))
    golden = bundle.golden
    name = entry.name
    golden = replace(golden, outputs={name: golden.outputs[name]}, logits={name: golden.logits[name]})
    replayed = replace(bundle.replay, embeddings={name: bundle.replay.embeddings[name]})
    path = tmp_path / "small.edgecnn"
    Bundle(bundle.manifest.with_artifacts(entry), (bundle.artifact(name),), golden, replayed).write(path)
    return path


@pytest.fixture
def onnx_cpu_bundle(exported):
    """Another bundle."""
    return exported / "cpu.edgecnn"


@pytest.fixture
def wrong(small, tmp_path):
    """The same with golden outputs of another model."""
    good = read_bundle(small)
    golden = replace(good.golden, outputs={n: np.roll(v, 1, axis=1) for n, v in good.golden.outputs.items()})
    path = tmp_path / "wrong.edgecnn"
    Bundle(good.manifest, good.artifacts, golden, good.replay).write(path)
    return path


@pytest.fixture
def data(tmp_path, digits_split):
    """Inverted digits to tune with, and plain ones."""
    test = digits_split[1]
    np.savez(tmp_path / "inverted.npz", x=255 - test.images[:200], y=test.labels[:200])
    np.savez(tmp_path / "plain.npz", x=test.images[:200], y=test.labels[:200])
    return SimpleNamespace(inverted=str(tmp_path / "inverted.npz"), plain=str(tmp_path / "plain.npz"))


@pytest.fixture
def slot(tmp_path, monkeypatch):
    """The default slot of these tests."""
    folder = tmp_path / "slot"
    monkeypatch.setenv("EDGE_CNN_SLOT", str(folder))
    return folder


@pytest.fixture
def told(capsys, slot):
    """Runs a command with --json on `slot`; its status, document and stderr."""
    assert not slot.exists()

    def run(*words):
        status = main([*map(str, words), "--json"])
        captured = capsys.readouterr()
        document = json.loads(captured.out.splitlines()[-1]) if captured.out else None
        return SimpleNamespace(status=status, document=document, err=captured.err)

    return run


def accuracy(told, model, data):
    return told("run", model, data).document["accuracy"]


def test_the_whole_life_of_a_slot(small, slot, data, told):
    assert told("install", small).document["active"]["counter"] == 1
    assert told("status").document["probation"] == "installed"
    before = accuracy(told, small, data.inverted)
    assert accuracy(told, slot, data.inverted) == before
    assert told("status").document["probation"] is None

    assert told("finetune", "slot:", "--data", data.inverted, "--out", "slot:").status == 0
    tuned = told("status").document
    assert (tuned["active"]["counter"], tuned["active"]["kind"], tuned["last_good"]) == (2, "tuned", 1)
    assert tuned["active"]["base_sha256"] == read_bundle(small).artifacts[0].sha256
    assert accuracy(told, "slot:", data.inverted) > before
    assert told("verify", slot).status == 0

    assert told("rollback").document["active"]["counter"] == 1
    assert accuracy(told, slot, data.inverted) == before
    status = told("status").document
    assert (status["counter"], status["last_good"], status["problems"]) == (2, 1, [])
    assert status["disk_bytes"] == sum(path.stat().st_size for path in slot.iterdir())
    assert all(version["intact"] for version in status["versions"])


def test_python_opens_a_slot_too(small, slot, digits_split):
    assert main(["install", str(small), "--quiet"]) == 0
    images = digits_split[1].images[:20]
    opened = edge_cnn.open_classifier(slot)
    assert np.array_equal(opened.predict(images).scores, edge_cnn.open_classifier(small).predict(images).scores)
    assert read_state(slot).record.probation is None


def test_a_bundle_with_wrong_golden_answers_is_not_installed(small, wrong, slot, told):
    told("install", small)
    before = sorted(path.name for path in slot.iterdir())
    refused = told("install", wrong)
    assert refused.status == 1
    assert refused.err.startswith("error: model")
    assert sorted(path.name for path in slot.iterdir()) == before


def test_a_version_that_fails_only_at_its_first_start_is_returned_from(small, wrong, slot, data, told):
    told("install", small)
    expected = accuracy(told, slot, data.plain)
    # As if the runtime had been changed between the installation and the first start.
    with open_for_change(slot) as writer:
        writer.install(wrong.read_bytes(), "wrong.edgecnn", lambda _: None)
    ran = told("run", slot, data.plain)
    assert (ran.status, ran.document["accuracy"]) == (0, expected)
    assert "version 2 is given up, back to version 1" in ran.err
    status = told("status").document
    assert (status["last_return"]["left"], status["last_return"]["to"]) == (2, 1)
    assert main(["status"]) == 0


def test_held_out_samples_judge_before_the_switch(small, data, tmp_path, told):
    told("install", small)
    tuned = tmp_path / "tuned.edgecnn"
    # Nothing of the old task is replayed, and next to nothing pulls to the old head: plain digits are forgotten.
    forget = ("--replay", data.inverted, "--l2", "1e-4")
    assert told("finetune", small, "--data", data.inverted, "--out", tuned, *forget).status == 0
    spoilt = told("install", tuned, "--data", data.plain)
    assert accuracy(told, tuned, data.plain) < accuracy(told, small, data.plain)
    assert spoilt.status == 1
    assert "held-out samples right" in spoilt.err
    assert told("status").document["active"]["counter"] == 1
    assert told("install", tuned, "--data", data.inverted).status == 0
    assert told("status").document["active"]["kind"] == "tuned"


def test_a_tuned_bundle_of_an_unknown_base_is_refused(small, data, tmp_path, told):
    tuned = tmp_path / "tuned.edgecnn"
    told("finetune", small, "--data", data.inverted, "--out", tuned)
    refused = told("install", tuned)
    assert refused.status == 2
    assert "not in the slot" in refused.err
    assert told("install", tuned, "--force").status == 0


def test_tuning_what_is_not_in_the_slot_is_refused_before_the_work(small, slot, data, onnx_cpu_bundle, told):
    told("install", small)
    refused = told("finetune", onnx_cpu_bundle, "--data", data.inverted, "--out", slot, "--quiet")
    assert refused.status == 2
    assert "model.onnx is not in the slot" in refused.err


def test_two_at_once_on_one_slot_is_one_line_and_status_2(small, slot, data, told):
    told("install", small)
    with open_for_change(slot):
        for words in (
            ("install", small),
            ("rollback",),
            ("finetune", slot, "--data", data.inverted, "--out", slot),
        ):
            refused = told(*words, "--quiet")
            assert refused.status == 2
            assert (
                refused.err
                == f"error: another process is changing the slot {slot}; wait for it to end, then try again\n"
            )
        assert told("status").status == 0


def test_a_bare_model_cannot_be_tuned_into_a_slot(small, slot, data, tmp_path, told):
    told("install", small)
    bare = tmp_path / "bare.tflite"
    bare.write_bytes(read_bundle(small).artifacts[0].data)
    for words in (("install", bare), ("finetune", bare, "--data", data.inverted, "--out", slot)):
        refused = told(*words, "--quiet")
        assert refused.status == 2
        assert "golden samples" in refused.err


def test_status_fails_where_the_active_version_is_damaged(small, slot, told):
    told("install", small)
    file = next(slot.glob("*.edgecnn"))
    file.write_bytes(file.read_bytes()[:-1])
    status = told("status")
    assert status.status == 1
    assert status.document["active"]["intact"] is False
    assert "has SHA-256" in status.document["problems"][0]


@pytest.mark.parametrize("words", [("status",), ("rollback",), ("run", "slot:", "x.png"), ("inspect", "slot:")])
def test_an_empty_slot_says_what_to_do(slot, told, words):
    empty = told(*words, "--quiet")
    assert empty.status == 2
    assert empty.err.endswith("run 'edge-cnn install BUNDLE' first\n")
    assert not slot.exists()


def test_a_folder_that_is_no_slot_is_refused_as_a_model(tmp_path, told):
    assert "is a folder" in told("run", tmp_path, "x.png", "--quiet").err


USES = {
    "install": "install {tuned}",
    "finetune": "finetune {slot} --data {data} --out {slot}",
    "rollback": "rollback",
    "run": "run {slot} {data}",
}
KILLS = 10


@pytest.mark.slow
@pytest.mark.parametrize("name", USES)
def test_real_commands_killed_at_random_times_leave_a_slot_that_answers(name, small, slot, data, tmp_path, told):
    """With the real runtime and the real check, which the many kills of `tests/slots` do without."""
    tuned = tmp_path / "tuned.edgecnn"
    told("install", small)
    told("run", slot, data.plain)
    told("finetune", small, "--data", data.inverted, "--out", tuned)
    if name in ("rollback", "run"):
        told("install", tuned)
    if name == "rollback":
        told("run", slot, data.plain)
    accuracies = {accuracy(told, model, data.inverted) for model in (small, tuned)}
    template = tmp_path / "template"
    slot.rename(template)
    places = {"tuned": str(tuned), "slot": str(slot), "data": data.inverted}
    words = [sys.executable, "-m", "edge_cnn", *(word.format(**places) for word in USES[name].split()), "--quiet"]

    def use():
        shutil.rmtree(slot, ignore_errors=True)
        shutil.copytree(template, slot)
        return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    begin = time.perf_counter()
    with use() as whole:
        assert whole.wait() == 0, whole.stderr.read()
    seconds = time.perf_counter() - begin
    generator = random.Random(0)
    kills = 0
    while kills < KILLS:
        with use() as process:
            # The first part is the start of Python, which touches nothing.
            time.sleep(seconds * generator.uniform(0.2, 1))
            process.send_signal(signal.SIGKILL)
        kills += process.returncode == -signal.SIGKILL
        assert accuracy(told, slot, data.inverted) in accuracies
        record, older = read_state(slot).record, read_state(slot).older
        named = {version.file for r in (record, older) if r for version in r.versions}
        assert {path.name for path in slot.iterdir()} <= named | {LOCK, *RECORDS}
