"""Two processes on this machine train one network; whatever happens, none of them is left at the end."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from edge_cnn.cli.main import main
from edge_cnn.host.training.checkpoint import NAME as CHECKPOINT
from edge_cnn.host.training.checkpoint import read_checkpoint
from edge_cnn.host.training.files import HISTORY, MODEL
from edge_cnn.host.workers.supervisor import local_clusters

# In one process: what they share takes most of a minute to make.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("two workers")]

PATIENCE = 900
"""Seconds that a training may take at most where the machine is busy; it takes a minute otherwise."""

SPIRAL = ["--data", "spiral", "--epochs", "300", "--batch-size", "25", "--patience", "0"]
"""The network has no normalization over the batch and no dropout, so workers compute what one process computes."""

TOLERANCE = 1e-4
"""Workers add the gradients of their shares, a single process those of the batch: sums differ in the last of float32's
24 bits, 6e-8 of their size. After 2,700 steps the losses differ by 1e-6; with one sample of a batch counted twice, by
more than 1e-3 in the first epoch."""


def started(words, out):
    return subprocess.Popen(
        [sys.executable, "-m", "edge_cnn", "train", *words, "--out", str(out), "--json"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def ended(process):
    """Status, stdout and stderr; the workers end with their supervisor."""
    try:
        output, errors = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    return process.returncode, output, errors


def run(words, out):
    status, output, errors = ended(started(words, out))
    assert status == 0, errors
    return json.loads(output)


def curve(out, *names):
    return np.array([[epoch[name] for name in names] for epoch in json.loads((out / HISTORY).read_text())])


LOSSES = "loss", "val_loss", "test_loss"


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """Folder of an uninterrupted training with two workers."""
    out = tmp_path_factory.mktemp("together") / "out"
    run([*SPIRAL, "--workers", "2"], out)
    return out


def test_two_workers_have_the_loss_curve_of_one_with_the_same_batches(together, tmp_path):
    run(SPIRAL, tmp_path)
    alone = curve(tmp_path, *LOSSES)
    assert len(alone) == 301
    assert alone[-1, 0] < 0.1 * alone[0, 0]
    np.testing.assert_allclose(curve(together, *LOSSES), alone, rtol=TOLERANCE)


def test_normalization_over_the_batch_and_augmentation_are_those_of_the_whole_batch(tmp_path):
    rng, labels = np.random.default_rng(0), np.arange(100) % 2
    images = rng.integers(0, 120, (100, 16, 16, 3)) + 60 * labels[:, None, None, None]
    np.savez(tmp_path / "data.npz", x=images.astype(np.uint8), y=labels)
    words = ["--data", str(tmp_path / "data.npz"), "--arch", "resnet8", "--augment", "photos", "--epochs", "2"]
    # The batch does not fall into equal shares.
    words += ["--batch-size", "25", "--optimizer", "sgd", "--learning-rate", "0.01"]
    run(words, tmp_path / "alone")
    run([*words, "--workers", "2"], tmp_path / "both")
    np.testing.assert_allclose(
        curve(tmp_path / "both", "loss", "val_loss"), curve(tmp_path / "alone", "loss", "val_loss"), rtol=TOLERANCE
    )


def test_the_chief_leaves_the_usual_files_and_no_checkpoint(together):
    left = {path.name for path in together.iterdir()}
    assert left >= {HISTORY, MODEL, "report.html", "training.json"}
    assert CHECKPOINT not in left


def weights(out):
    import keras

    return keras.models.load_model(out / MODEL, compile=False).get_weights()


def test_after_the_loss_of_a_worker_and_of_the_chief_the_curve_and_the_weights_are_the_same(together, tmp_path):
    process = started([*SPIRAL, "--workers", "2", "--checkpoint-every", "0"], tmp_path)
    checkpoint = tmp_path / CHECKPOINT
    try:
        # The chief is killed when the team has come well beyond where it lost the other worker.
        for index, epoch in ((1, 5), (0, 60)):
            wait_for(lambda epoch=epoch: epoch_of(checkpoint) > epoch, process)
            os.kill(worker(process, index), signal.SIGKILL)
    except BaseException:
        process.kill()
        raise
    status, _, errors = ended(process)
    assert status == 0, errors
    assert [f"worker {index} was killed by signal 9; all workers start again" in errors for index in (1, 0)] == [
        True
    ] * 2
    assert (curve(tmp_path, *LOSSES) == curve(together, *LOSSES)).all()
    assert all((mine == theirs).all() for mine, theirs in zip(weights(tmp_path), weights(together), strict=True))


def wait_for(condition, process):
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return value


def epoch_of(checkpoint):
    """The one that its training was in; 0 where there is none yet."""
    return read_checkpoint(checkpoint).state.epoch if checkpoint.exists() else 0


def worker(process, index):
    """The process of a worker: they are started in the order of their indices."""
    rows = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = [tuple(map(int, row.split())) for row in rows.splitlines()]
    return sorted(child for child, parent in pairs if parent == process.pid)[index]


def test_ctrl_c_ends_all_workers_at_the_same_step_and_keeps_the_best(tmp_path):
    process = started([*SPIRAL, "--epochs", "100000", "--workers", "2", "--checkpoint-every", "0"], tmp_path)
    wait_for(lambda: epoch_of(tmp_path / CHECKPOINT) > 1, process)
    process.send_signal(signal.SIGINT)
    status, output, errors = ended(process)
    assert status == 0, errors
    document = json.loads(output)
    assert document["interrupted"]
    assert 0 < document["epochs"] < 100000
    assert "interrupted after epoch" in errors
    assert read_checkpoint(tmp_path / CHECKPOINT).state.epoch == document["epochs"] + 1
    assert (tmp_path / MODEL).exists()


def test_workers_with_different_options_end_before_the_first_step_with_the_difference(tmp_path):
    addresses = ",".join(local_clusters(2)[0].addresses)
    both = [
        started(
            [*SPIRAL, "--learning-rate", rate, "--worker-addresses", addresses, "--worker-index", str(index)],
            tmp_path / f"{index}",
        )
        for index, rate in enumerate(("0.01", "0.02"))
    ]
    results = [ended(process) for process in both]
    assert [(status, output) for status, output, _ in results] == [(2, "")] * 2
    said = "worker 1 has configuration learning_rate 0.02, the chief 0.01; give all workers the same options"
    assert all(said in errors for _, _, errors in results), results
    assert not (tmp_path / "0").exists()


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--workers", "2", "--batch-size", "1"], 2, "2 workers share batches of 1 samples, so some would have none"),
        (["--workers", "0"], 2, "--workers 0: it must be at least 1; try 2"),
        (["--worker-index", "0"], 2, "--worker-addresses and --worker-index go together"),
        (["--workers", "2", "--precision", "auto"], 2, "precision auto: workers may measure otherwise"),
        (["--workers", "2", "--search", "3"], 2, "--search does not go with several workers"),
        (["--workers", "2", "--worker-timeout", "0"], 2, "worker timeout 0.0: it must be a positive number"),
    ],
)
def test_options_that_cannot_be_are_one_clear_line_before_any_worker_starts(tmp_path, capsys, words, status, said):
    assert main(["train", *SPIRAL, *words, "--out", str(tmp_path / "out"), "--quiet"]) == status
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1
    assert said in errors[0]
    assert not (tmp_path / "out").exists()


def test_a_chief_that_waits_in_vain_ends_with_status_3(tmp_path):
    addresses = ",".join(local_clusters(2)[0].addresses)
    words = [*SPIRAL, "--worker-addresses", addresses, "--worker-index", "0", "--worker-timeout", "0.5"]
    status, _, errors = ended(started(words, tmp_path / "out"))
    assert status == 3
    assert "did not come within 0.5 s; start it with the same options" in errors
