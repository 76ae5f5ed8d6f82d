"""A training that is broken off anywhere and goes on from its file gives the bytes of one that was not."""

import errno
import json
import resource
from dataclasses import replace

import numpy as np
import pytest

from edge_cnn.core.errors import CheckFailedError, InputError
from edge_cnn.core.npz import pack_npz, unpack_npz
from edge_cnn.host.training import TrainConfig, TrainingState, checkpointing, loop, train
from edge_cnn.host.training.checkpoint import Checkpoint, Origin, check_origin, read_checkpoint, write_checkpoint
from edge_cnn.host.training.checkpointing import Checkpointing
from edge_cnn.host.training.records import BestEpoch, EpochRecord

CONFIG = TrainConfig(epochs=3, batch_size=16, patience=None)
ORIGIN = Origin(CONFIG.to_json(), "1234", {"numpy": "2"})


class BreakError(Exception):
    """Stands for a power cut."""


@pytest.fixture
def state():
    """A state with what a file might lose: infinity, NaN, a number without dimensions, other types."""
    record = EpochRecord(0, 0.1 + 0.2, 1 / 3, float("nan"), 0.5, 0.0, 1.5, {"conv1": 1e-30}, 0.25, 3)
    best = BestEpoch(0, float("inf"), [np.float32([[1, 2]])])
    variables = [np.float32([1.1, np.inf]), np.int64(7), np.uint32([2**32 - 1]), np.zeros((0, 3), np.float64)]
    return TrainingState(1, 5, variables, (record,), best, 2.5)


@pytest.fixture
def path(state, tmp_path):
    path = tmp_path / "checkpoint.npz"
    write_checkpoint(path, Checkpoint(state, ORIGIN))
    return path


def same_arrays(first, second):
    return len(first) == len(second) and all(
        a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
        for a, b in zip(first, second, strict=True)
    )


def bytes_of(result):
    return b"".join(weights.tobytes() for weights in result.model.get_weights())


def broken_off(config, samples, path, count, start=None):
    """Breaks a training off at its pause number `count`, after its state was written."""
    left = count

    def on_pause(state):
        nonlocal left
        left -= 1
        if left == 0:
            write_checkpoint(path, Checkpoint(state(), ORIGIN))
            raise BreakError

    with pytest.raises(BreakError):
        train(config, samples, state=start, on_pause=on_pause)
    return read_checkpoint(path).state


def test_a_file_gives_back_every_bit(state, path):
    found = read_checkpoint(path)
    assert found.origin == ORIGIN
    assert same_arrays(found.state.variables, state.variables)
    assert same_arrays(found.state.best.weights, state.best.weights)
    assert repr(found.state.history) == repr(state.history)  # of which one number is NaN
    assert (found.state.epoch, found.state.step, found.state.seconds) == (1, 5, 2.5)
    assert (found.state.best.epoch, found.state.best.val_loss) == (0, float("inf"))
    assert found.seconds == 4.0


@pytest.mark.parametrize(
    "optimizer", ["adamw", *(pytest.param(name, marks=pytest.mark.slow) for name in ("adam", "sgd", "rmsprop"))]
)
def test_lenet_with_dropout_augmentation_and_batch_norm_goes_on_to_the_same_bytes(
    bars, optimizer, tmp_path, monkeypatch
):
    monkeypatch.setattr(loop, "SECONDS_A_CALL", 0.0)  # a pause after every step
    config, samples = replace(CONFIG, optimizer=optimizer, clip_norm=1.0), bars(60)
    pauses = 0

    def count(_state):
        nonlocal pauses
        pauses += 1

    whole = train(config, samples, on_pause=count)
    assert pauses == 9  # three steps an epoch
    place = int(np.random.default_rng(len(optimizer)).integers(1, pauses))
    state = broken_off(config, samples, tmp_path / "c.npz", place)
    assert 3 * (state.epoch - 1) + state.step == place
    resumed = train(config, samples, state=state)
    assert bytes_of(resumed) == bytes_of(whole)
    assert resumed.history == whole.history
    assert resumed.best_epoch == whole.best_epoch


def test_the_number_of_steps_a_call_makes_no_difference(bars, small_network, monkeypatch):
    config = replace(CONFIG, architecture=small_network, batch_size=4)
    many = train(config, bars(60))
    monkeypatch.setattr(loop, "SECONDS_A_CALL", 0.0)
    assert bytes_of(train(config, bars(60))) == bytes_of(many)


def test_patience_that_had_begun_to_run_out_goes_on_running_out(bars, small_network, tmp_path):
    samples = bars(60)
    shuffled = np.random.default_rng(0).permutation(samples.labels)
    config = replace(CONFIG, architecture=small_network, augmentation=None, epochs=60, patience=3)
    noise = replace(samples, labels=shuffled)
    whole = train(config, noise)
    ends = len(whole.history) - 1
    assert ends == whole.best_epoch + 3 < 60

    def on_pause(state):
        if state().epoch == ends:  # two epochs without any better are over
            write_checkpoint(tmp_path / "c.npz", Checkpoint(state(), ORIGIN))
            raise BreakError

    with pytest.raises(BreakError):
        train(config, noise, on_pause=on_pause)
    resumed = train(config, noise, state=read_checkpoint(tmp_path / "c.npz").state)
    assert resumed.history == whole.history
    assert bytes_of(resumed) == bytes_of(whole)


def test_any_damage_is_noticed(path, state):
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    changed = unpack_npz(data, name="c", max_bytes=10**6)
    changed["variable/00000"][0] += 1
    wrong = [data[:-1], data[: len(data) // 2], b"", b"PK\x03\x04", pack_npz(changed)]
    places = rng.integers(0, len(data), 60)
    flipped = [data[:at] + bytes([data[at] ^ (1 << int(rng.integers(8)))]) + data[at + 1 :] for at in places]
    noticed = 0
    for content in (*wrong, *flipped):
        path.write_bytes(content)
        said = None
        try:
            found = read_checkpoint(path)
        except InputError as error:
            said = str(error)
        if said is None:  # a bit of a ZIP header that nothing depends on
            assert same_arrays(found.state.variables, state.variables)
            assert found.origin == ORIGIN
        else:
            noticed += 1
            assert f"{path} is damaged: " in said
            assert said.endswith("; delete it to start anew, without --resume")
        assert said is not None or content not in wrong
    assert noticed > len(flipped) / 2


def test_nothing_in_a_file_is_run(path, tmp_path):
    np.savez(path, about=np.array([{"format": 1}], object))
    with pytest.raises(InputError, match="is damaged"):
        read_checkpoint(path)
    with pytest.raises(InputError, match="cannot read"):
        read_checkpoint(tmp_path)


def test_a_file_of_another_format_says_so(path):
    arrays = unpack_npz(path.read_bytes(), name="c", max_bytes=10**6)
    about = json.loads(arrays["about"].tobytes()) | {"format": 2}
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    del arrays["sha256"]
    from edge_cnn.host.training.checkpoint import _checksum

    path.write_bytes(pack_npz(arrays | {"sha256": _checksum(arrays)}))
    with pytest.raises(InputError, match="has format 2, this edge-cnn reads 1"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"architecture": "resnet8"}, "is of lenet, not of resnet8; give --arch lenet, or another --out"),
        ({"batch_size": 8}, r"another --batch-size \(it began with 16\); give the same"),
        ({"augmentation": None, "seed": 1}, r"--augment \(it began with others\), --seed \(it began with 0\)"),
        ({"clip_norm": 2.0}, r"--clip-norm \(it began with none\)"),
        ({"learning_rate": 0.1}, r"--learning-rate \(it began with 0.003\)"),
        ({"epochs": 9}, r"--epochs \(it began with 3\); the learning rates so far would have been others"),
    ],
)
def test_a_checkpoint_of_other_options_is_refused_by_their_names(state, path, bars, change, said):
    config = replace(CONFIG, **change)
    with pytest.raises(InputError, match=said):
        check_origin(Checkpoint(state, ORIGIN), Origin(config.to_json(), "1234", {}), path, config, bars(120))


def test_a_checkpoint_of_other_data_is_refused(state, path, bars):
    with pytest.raises(InputError, match=r"other data \(fingerprint 1234, now 5678\)"):
        check_origin(Checkpoint(state, ORIGIN), Origin(CONFIG.to_json(), "5678", {}), path, CONFIG, bars(120))


def test_other_versions_are_remarked_on(state, path, bars):
    found = Checkpoint(state, ORIGIN)
    remark = check_origin(found, replace(ORIGIN, versions={"numpy": "3"}), path, CONFIG, bars(120))
    assert remark == "it began with numpy 2 (now 3), so the last bits may differ"
    assert check_origin(found, ORIGIN, path, CONFIG, bars(120)) == ""


def test_a_constant_rate_may_go_on_for_more_epochs_and_gives_what_they_give(bars, small_network, tmp_path):
    short = replace(CONFIG, architecture=small_network, schedule="constant", warm_up=0.0, epochs=2)
    long, samples = replace(short, epochs=4), bars(60)
    state = broken_off(short, samples, tmp_path / "c.npz", 3)
    found = Checkpoint(state, Origin(short.to_json(), "", {}))
    assert check_origin(found, Origin(long.to_json(), "", {}), tmp_path, long, samples) == ""
    assert bytes_of(train(long, samples, state=state)) == bytes_of(train(long, samples))


def test_a_state_of_another_network_is_refused(bars, small_network, state):
    with pytest.raises(InputError, match="of another network or optimizer"):
        train(replace(CONFIG, architecture=small_network), bars(60), state=state)


@pytest.mark.parametrize("failure", ["limit", "full"])
def test_a_full_disk_is_told_once_keeps_the_last_good_file_and_training_goes_on(
    bars, small_network, tmp_path, monkeypatch, failure
):
    monkeypatch.setattr(loop, "SECONDS_A_CALL", 0.0)
    monkeypatch.setattr(checkpointing, "SHARE", 1e9)
    config, samples = replace(CONFIG, architecture=small_network), bars(60)
    path, told, written = tmp_path / "new" / "checkpoint.npz", [], []
    real = checkpointing.write_checkpoint

    def write(place, checkpoint):
        written.append(checkpoint.state)
        if len(written) <= 2:
            return real(place, checkpoint)
        if failure == "full":
            raise InputError(f"cannot write {place}: {OSError(errno.ENOSPC, 'No space left on device').strerror}; x")
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
        try:
            return real(place, checkpoint)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    monkeypatch.setattr(checkpointing, "write_checkpoint", write)
    with Checkpointing(path, ORIGIN, 0, told.append) as checkpoints:
        result = train(config, samples, on_pause=checkpoints.on_pause)
    assert len(written) == 9
    assert len(told) == 1
    assert told[0].startswith(f"no checkpoint: cannot write {path}: ")
    assert told[0].endswith("; training goes on, and the one before stays, if there is one")
    monkeypatch.undo()
    left = read_checkpoint(path).state
    assert same_arrays(left.variables, written[1].variables)
    assert [p.name for p in path.parent.iterdir()] == ["checkpoint.npz"]
    assert result.history[-1].epoch == 3


def test_a_slow_disk_is_written_to_less_often(state, tmp_path, monkeypatch):
    now, written = [1000.0], []

    def write(_path, _checkpoint):
        written.append(now[0])
        now[0] += 2.0

    monkeypatch.setattr(checkpointing, "write_checkpoint", write)
    monkeypatch.setattr(checkpointing.time, "monotonic", lambda: now[0])
    checkpoints = Checkpointing(tmp_path / "c.npz", ORIGIN, every=30.0)
    while now[0] < 2000:
        checkpoints.on_pause(lambda: state)
        now[0] += 0.25
    assert written[0] == 1030.0
    assert np.diff(written) == pytest.approx(202.0)  # 2 s in 200


def test_a_training_that_diverges_leaves_no_checkpoint_and_no_folder(tmp_path, state):
    path = tmp_path / "new" / "checkpoint.npz"
    checkpoints = Checkpointing(path, ORIGIN, 0)
    checkpoints.on_pause(lambda: state)
    assert path.exists()
    with pytest.raises(CheckFailedError), checkpoints:
        raise CheckFailedError("diverged")
    assert not path.parent.exists()


def test_an_error_of_the_command_leaves_the_checkpoint(path):
    with pytest.raises(InputError), Checkpointing(path, ORIGIN, 0):
        raise InputError("another state")
    assert path.exists()
