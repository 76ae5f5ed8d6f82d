"""`finetune --stream` in processes of its own: lines, folders that are being filled, signals, and slots."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from edge_cnn.cli.main import main
from edge_cnn.cli.stream_sources import MAX_TOLD
from edge_cnn.core.atomic_file import temporaries
from edge_cnn.core.bundle import read_bundle
from edge_cnn.device.opening import open_classifier
from edge_cnn.device.slots.folder import read_state
from edge_cnn.verify.replay import verify

EDGE_CNN = [sys.executable, "-m", "edge_cnn"]
DEADLINE = 120


@pytest.fixture(scope="module")
def shifted(tmp_path_factory, digits_split):
    """Digits dark on light as PNG files in one folder, with their labels; the model knows them light on dark."""
    folder = tmp_path_factory.mktemp("shifted")
    test = digits_split[1]
    paths = [folder / f"{i:04d}.png" for i in range(200)]
    for path, image in zip(paths, test.images, strict=False):
        Image.fromarray(255 - image[:, :, 0]).save(path)
    return SimpleNamespace(paths=paths, labels=[str(label) for label in test.labels[:200]], truth=test.labels[:200])


@pytest.fixture
def lines(shifted):
    return [f"{path}\t{label}" for path, label in zip(shifted.paths, shifted.labels, strict=True)]


def finetune(few_golden_path, out, *words, text="", stream="-"):
    command = [*EDGE_CNN, "finetune", str(few_golden_path), "--stream", str(stream), "--out", str(out), *words]
    done = subprocess.run(command, input=text.encode(), capture_output=True, check=False, timeout=DEADLINE)
    return SimpleNamespace(status=done.returncode, out=done.stdout.decode(), err=done.stderr.decode())


def documents(text):
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("name", ["tuned.edgecnn", "tuned.tflite"])
def test_lines_tune_the_model_and_each_update_is_one_object(few_golden_path, tmp_path, lines, name):
    done = finetune(few_golden_path, tmp_path / name, "--json", "--seed", "5", text="\n".join(lines))
    assert done.status == 0
    *updates, last = documents(done.out)
    assert [update["samples"] for update in updates] == list(range(10, 201, 10))
    assert all(
        {"seen_accuracy", "holdout_accuracy", "holdout_samples", "holdout_interval", "committed"} <= set(update)
        for update in updates
    )
    assert (last["saved"], last["seed"], last["out"]) == (True, 5, str(tmp_path / name))
    assert last["commits"] == sum(update["committed"] for update in updates)
    assert last["steps"] == sum(update["steps"] for update in updates)
    assert last["after"]["holdout_accuracy"] > last["before"]["holdout_accuracy"] + 0.2
    assert set(last["certificate"]) == {"loss_gap_bound", "max_logit_error"}
    assert updates[-1]["seen_accuracy"] > updates[4]["seen_accuracy"] + 0.15


@pytest.mark.slow  # several seconds of samples
def test_the_figures_are_those_of_the_file_and_the_same_lines_give_the_same_bytes(
    few_golden_path, tmp_path, lines, shifted
):
    files = [tmp_path / "a.edgecnn", tmp_path / "b.edgecnn"]
    for out in files:
        done = finetune(few_golden_path, out, "--json", text="\n".join(lines))
    last = documents(done.out)[-1]
    assert files[0].read_bytes() == files[1].read_bytes()
    numbers: dict[str, int] = {}
    held = []
    for place, label in enumerate(shifted.labels):
        numbers[label] = numbers.get(label, -1) + 1
        held += [place] if numbers[label] % 5 == 1 else []
    images = np.stack([np.asarray(Image.open(shifted.paths[place]))[:, :, None] for place in held])
    for file, key in ((few_golden_path, "before"), (files[0], "after")):
        answers = open_classifier(file).predict(images).indices
        assert np.mean(answers == shifted.truth[held]) == pytest.approx(last[key]["holdout_accuracy"])


def test_bad_lines_are_told_with_their_numbers_and_the_others_count(few_golden_path, tmp_path, lines):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n")
    bad = {3: "no tab here", 5: f"{tmp_path}/none.png\t1", 7: f"{tmp_path}/broken.png\t1", 9: lines[0][:-1] + "cat"}
    good = iter(lines[:26])
    text = "\n".join(bad[n] if n in bad else next(good) for n in range(1, 31))
    done = finetune(few_golden_path, tmp_path / "o.edgecnn", "--json", text=text)
    assert done.status == 0
    last = documents(done.out)[-1]
    assert last["samples"] == 26
    assert len(last["skipped"]) == 4
    told = [line for line in done.err.splitlines() if line.startswith("skipped line")]
    assert [int(line.split(":")[0].split()[-1]) for line in told] == list(bad)
    assert "'cat' is not one of the model's classes" in told[-1]


def test_json_lines_and_a_last_line_without_an_end_are_read_too(few_golden_path, tmp_path, shifted):
    pairs = zip(shifted.paths[:12], shifted.labels, strict=False)
    text = "\n".join(json.dumps({"image": str(path), "label": label}) for path, label in pairs)
    done = finetune(few_golden_path, tmp_path / "o.edgecnn", "--json", "--update-every", "5", text=text)
    assert [document["samples"] for document in documents(done.out)] == [5, 10, 12, 12]


def test_wrong_labels_throughout_leave_the_old_file(few_golden_path, tmp_path, lines):
    out = tmp_path / "o.edgecnn"
    out.write_bytes(b"the old file")
    plain = tmp_path / "plain"
    plain.mkdir()
    wrong = []
    for line in lines[:120]:
        path, label = line.split("\t")
        name = plain / Path(path).name
        Image.fromarray(255 - np.asarray(Image.open(path))).save(name)
        wrong.append(f"{name}\t{(int(label) + 3) % 10}")
    done = finetune(few_golden_path, out, "--json", text="\n".join(wrong))
    assert done.status == 0
    last = documents(done.out)[-1]
    assert (last["saved"], last["out"], last["certificate"]) == (False, None, None)
    assert last["before"] == last["after"]
    assert last["reason"]
    assert out.read_bytes() == b"the old file"
    assert temporaries(out) == []


def fill(folder, shifted, *, delay=0.01, count=200):
    """Write each image in two halves, as a slow copy does."""
    for path, label in list(zip(shifted.paths, shifted.labels, strict=True))[:count]:
        target = folder / label / path.name
        target.parent.mkdir(exist_ok=True)
        data = path.read_bytes()
        with open(target, "wb") as file:
            file.write(data[: len(data) // 2])
            file.flush()
            time.sleep(delay)
            file.write(data[len(data) // 2 :])


@pytest.mark.slow  # several seconds of samples
def test_a_folder_that_is_filled_meanwhile_is_used_to_its_last_file(few_golden_path, tmp_path, shifted):
    folder, out = tmp_path / "samples", tmp_path / "o.edgecnn"
    folder.mkdir()
    (folder / "3").mkdir()
    late = folder / "3" / "late.png"
    whole = Image.fromarray(np.full((28, 28), 7, np.uint8))
    whole.save(tmp_path / "whole.png")
    data = (tmp_path / "whole.png").read_bytes()
    late.write_bytes(data[:-20])

    def writer():
        fill(folder, shifted)
        # Longer than an unchanged file is tried.
        time.sleep(3)
        late.write_bytes(data)

    thread = threading.Thread(target=writer)
    thread.start()
    done = finetune(few_golden_path, out, "--json", "--idle-timeout", "5", stream=folder)
    thread.join()
    assert done.status == 0
    last = documents(done.out)[-1]
    assert last["samples"] == 201
    assert last["skipped"] == []
    assert last["saved"]
    verify(out, "local").check()


def test_the_folder_may_be_the_current_one_and_each_file_counts_once(few_golden_path, tmp_path, shifted, monkeypatch):
    fill(tmp_path, shifted, delay=0, count=12)
    (tmp_path / shifted.labels[0] / "broken.png").write_bytes(b"half")
    monkeypatch.chdir(tmp_path)
    done = finetune(few_golden_path, "o.edgecnn", "--json", "--idle-timeout", "2", stream=".")
    assert done.status == 0, done.err
    last = documents(done.out)[-1]
    assert last["samples"] == 12
    assert len(last["skipped"]) == 1


def started(few_golden_path, out, folder, *words):
    command = [
        *EDGE_CNN,
        "finetune",
        str(few_golden_path),
        "--stream",
        str(folder),
        "--out",
        str(out),
        "--json",
        *words,
    ]
    # Where pytest runs as a shell's background job it ignores Ctrl-C, and so would this child.
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def until_committed(child):
    for line in child.stdout:
        if json.loads(line)["committed"]:
            return
    pytest.fail("the stream ended without a commit")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_ends_the_stream_with_a_last_update_and_a_summary(few_golden_path, tmp_path, shifted, name):
    folder, out = tmp_path / "samples", tmp_path / "o.edgecnn"
    folder.mkdir()
    fill(folder, shifted, delay=0, count=200)
    child = started(few_golden_path, out, folder, "--update-every", "30")
    until_committed(child)
    child.send_signal(getattr(signal, name))
    rest, _ = child.communicate(timeout=DEADLINE)
    assert child.returncode == 0
    *updates, last = documents(rest)
    assert last["saved"]
    assert not updates or updates[-1]["samples"] == last["samples"]
    verify(out, "local").check()
    assert temporaries(out) == []


@pytest.mark.slow  # several seconds of samples
def test_a_killed_stream_leaves_a_whole_file_and_the_next_one_sweeps_up(few_golden_path, tmp_path, shifted, lines):
    folder, out = tmp_path / "samples", tmp_path / "o.edgecnn"
    folder.mkdir()
    fill(folder, shifted, delay=0)
    child = started(few_golden_path, out, folder)
    until_committed(child)
    child.kill()
    child.communicate(timeout=DEADLINE)
    verify(out, "local").check()
    (tmp_path / ".o-abcdefgh.edgecnn").write_bytes(b"half")
    assert finetune(few_golden_path, out, text="\n".join(lines)).status == 0
    assert temporaries(out) == []


def test_samples_that_wait_are_learned_from_when_the_source_falls_silent(few_golden_path, tmp_path, lines):
    command = [
        *EDGE_CNN,
        "finetune",
        str(few_golden_path),
        "--stream",
        "-",
        "--out",
        str(tmp_path / "o.edgecnn"),
        "--json",
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        child.stdin.write("\n".join([*lines[:7], ""]).encode())
        child.stdin.flush()
        # Nothing but silence makes this update: standard input is open.
        assert json.loads(child.stdout.readline())["samples"] == 7
        child.stdin.close()
        assert "saved" in json.loads(child.stdout.read())


def test_an_idle_timeout_ends_open_standard_input(few_golden_path, tmp_path, lines):
    reading, writing = os.pipe()
    os.write(writing, "\n".join([*lines[:4], ""]).encode())
    command = [*EDGE_CNN, "finetune", str(few_golden_path), "--stream", "-", "--out", str(tmp_path / "o.edgecnn")]
    done = subprocess.run(
        [*command, "--idle-timeout", "0.5"],
        stdin=reading,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE,
    )
    os.close(reading)
    os.close(writing)
    assert done.returncode == 0
    assert "4 samples" in done.stdout
    assert "not saved" in done.stdout


def test_a_slot_gets_each_better_version_and_does_not_grow_with_them(few_golden_path, tmp_path, lines):
    slot = tmp_path / "slot"
    assert main(["install", str(few_golden_path), "--slot", str(slot), "--quiet"]) == 0
    open_classifier(few_golden_path)
    done = finetune(slot, slot, "--json", "--update-every", "5", text="\n".join(lines))
    assert done.status == 0
    last = documents(done.out)[-1]
    assert last["commits"] >= 3
    record = read_state(slot).record
    assert record.counter == 1 + last["commits"]
    # The base, the one before, and the active one: the slot itself forgets versions that nobody started.
    assert len(record.versions) == 3
    assert record.active_version.base_sha256 in record.versions[0].artifacts
    assert main(["verify", str(slot), "--quiet"]) == 0
    assert read_bundle(slot / record.active_version.file).manifest.provenance["finetuned"]["samples"] <= 200


def test_a_busy_slot_is_refused_before_the_stream_begins(few_golden_path, tmp_path, lines):
    from edge_cnn.device.slots.update import open_for_change

    slot = tmp_path / "slot"
    assert main(["install", str(few_golden_path), "--slot", str(slot), "--quiet"]) == 0
    with open_for_change(slot):
        done = finetune(slot, slot, "--quiet", text="\n".join(lines))
    assert done.status == 2
    assert "another process is changing the slot" in done.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--out", "o.edgecnn"], "either --data or --stream, got neither"),
        (["--data", "d.npz", "--stream", "-"], "got both"),
        (["--stream", "-", "--add-classes"], "--add-classes does not go with --stream"),
        (["--stream", "-", "--keep-classes", "0,1"], "--keep-classes does not go with --stream"),
        (["--stream", "-", "--holdout", "0.2"], "--holdout does not go with --stream"),
        (["--data", "d.npz", "--update-every", "5"], "--update-every is for --stream"),
        (["--data", "d.npz", "--idle-timeout", "5"], "--idle-timeout is for --stream"),
        (["--stream", "none"], "no folder at none"),
        (["--stream", "file"], "a file is no stream"),
        (["--stream", ".", "--out", "none/o.edgecnn"], "there is no folder"),
        (["--stream", ".", "--out", "o.onnx"], "give a name ending with"),
        (["--stream", ".", "--replay", "none"], "no data at none"),
    ],
)
def test_bad_usage_is_one_clear_line_and_nothing_is_written(
    few_golden_path, tmp_path, capsys, monkeypatch, words, said
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    out = [] if "--out" in words else ["--out", "o.edgecnn"]
    assert main(["finetune", str(few_golden_path), *words, *out, "--quiet"]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert said in captured.err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that even the superuser cannot write to")
def test_an_unwritable_folder_is_refused_before_the_stream_begins(few_golden_path, lines):
    done = finetune(few_golden_path, "/proc/self/o.edgecnn", "--quiet", text="\n".join(lines))
    assert (done.status, done.out) == (2, "")
    assert "cannot write there" in done.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere: run it as an ordinary user")
def test_a_read_only_slot_is_refused_before_the_stream_begins(few_golden_path, tmp_path, lines):
    slot = tmp_path / "slot"
    assert main(["install", str(few_golden_path), "--slot", str(slot), "--quiet"]) == 0
    slot.chmod(0o555)
    try:
        done = finetune(slot, slot, "--quiet", text="\n".join(lines))
    finally:
        slot.chmod(0o755)
    assert (done.status, done.out) == (2, "")
    assert "cannot write there" in done.err


def test_a_background_job_that_ignores_ctrl_c_goes_on_ignoring_it():
    code = (
        "import os, signal; from edge_cnn.cli.ending import asked_to_end\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "with asked_to_end() as asked:\n"
        "    os.kill(os.getpid(), signal.SIGINT); print(asked())\n"
        "    os.kill(os.getpid(), signal.SIGTERM); print(asked())\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    done = subprocess.run([sys.executable, "-u", "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["False", "True"]
    # The second one ends the process at once.
    assert done.returncode == -signal.SIGTERM


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        ("", 0, "no samples came; not saved"),
        ("x\ny\n", 2, "error: none of the 2 samples could be used; the first: line 1"),
    ],
)
def test_a_stream_without_samples_says_so(few_golden_path, tmp_path, text, status, said):
    done = finetune(few_golden_path, tmp_path / "o.edgecnn", "--quiet", text=text)
    assert done.status == status
    assert said in done.out + done.err
    assert list(tmp_path.iterdir()) == []


def test_of_many_bad_lines_the_first_are_listed_and_all_are_counted(few_golden_path, tmp_path, lines):
    text = "\n".join(["x"] * (MAX_TOLD + 5) + lines[:2])
    done = finetune(few_golden_path, tmp_path / "o.edgecnn", "--json", text=text)
    assert done.status == 0
    last = documents(done.out)[-1]
    assert last["samples"] == 2
    assert [said.split(":")[0] for said in last["skipped"]] == [f"line {n}" for n in range(1, MAX_TOLD + 1)]
    assert f"skipped {MAX_TOLD + 5} lines; the result lists the first {MAX_TOLD}" in done.err


def test_on_a_terminal_one_line_changes_in_its_place(few_golden_path, tmp_path, lines):
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    command = [*EDGE_CNN, "finetune", str(few_golden_path), "--stream", "-", "--out", str(tmp_path / "o.edgecnn")]
    shown = bytearray()

    def read():
        while True:
            try:
                data = os.read(ours, 4096)
            except OSError:  # Linux's way to say that nobody writes any more.
                return
            if not data:
                return
            shown.extend(data)

    thread = threading.Thread(target=read)
    thread.start()
    text = "\n".join(["bad", *lines[:60]]).encode()
    done = subprocess.run(command, input=text, stdout=subprocess.PIPE, stderr=theirs, check=False, timeout=DEADLINE)
    os.close(theirs)
    thread.join()
    os.close(ours)
    assert done.returncode == 0
    said = shown.decode()
    assert "skipped line 1" in said
    for samples in range(10, 61, 10):
        assert f"\r\x1b[K{samples} samples, seen" in said
    assert said.endswith(("\r\x1b[K", "committed\r\n"))
    assert b"\x1b" not in done.stdout
