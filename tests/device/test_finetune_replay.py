"""The log of a fine-tuning does it again to the same bytes; a log of something else is refused and saves nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edge_cnn.cli.main import main
from edge_cnn.core.bundle import read_bundle
from edge_cnn.core.npz import pack_npz
from tests.device.small_bundles import small_bundle

SAMPLES = 60


@dataclass(frozen=True)
class Logged:
    """A fine-tuning that was done with --log; files of a folder."""

    folder: Path

    @property
    def out(self) -> Path:
        return self.folder / "tuned.edgecnn"

    @property
    def log(self) -> Path:
        return self.folder / "log.json"

    def words(self, out: Path, *more: str | Path, data: str = "samples.npz") -> list[str]:
        said = ["finetune", self.folder / "model.edgecnn", "--data", self.folder / data, "--out", out, "--quiet", *more]
        return [str(word) for word in said]


@pytest.fixture(scope="module", params=["tflite", "onnx"])
def logged(request, bundle_path, tmp_path_factory):
    """For int8 of each format."""
    from edge_cnn.host.datasets import load_dataset

    done = Logged(tmp_path_factory.mktemp("logged"))
    small_bundle(bundle_path, "int8", request.param).write(done.folder / "model.edgecnn")
    samples = load_dataset("optdigits").train.select(slice(SAMPLES))
    x, y = samples.images, samples.labels
    changed, other = x.copy(), y.copy()
    changed[7, 0, 0, 0] ^= 1
    other[7] = (other[7] + 1) % 10
    files = {"samples": (x, y), "one-fewer": (x[1:], y[1:]), "one-pixel": (changed, y), "one-label": (x, other)}
    for name, (images, labels) in files.items():
        (done.folder / f"{name}.npz").write_bytes(pack_npz({"x": images, "y": labels}))
    assert main(done.words(done.out, "--seed", "5", "--epochs", "40", "--log", done.log)) == 0
    return done


def check_replays(logged: Logged, folder: Path, times: int) -> None:
    """In turn alone, with the cache that the runs before have filled, and with another number of threads."""
    ways = ([], ["--cache", folder / "cache"], ["--threads", "2"])
    for number in range(times):
        out, log = folder / f"{number}.edgecnn", folder / f"{number}.json"
        words = logged.words(out, "--reproduce", logged.log, "--log", log, *ways[number % len(ways)])
        assert main(words) == 0
        assert out.read_bytes() == logged.out.read_bytes()
        assert log.read_bytes() == logged.log.read_bytes()


def test_a_log_is_done_again_to_the_same_bytes(logged, tmp_path):
    check_replays(logged, tmp_path, 3)


@pytest.mark.slow
def test_a_log_is_done_again_ten_times_to_the_same_bytes(logged, tmp_path):
    check_replays(logged, tmp_path, 10)


def test_the_log_of_a_bare_file_is_done_again_to_the_same_bytes(logged, tmp_path):
    (artifact,) = read_bundle(logged.folder / "model.edgecnn").artifacts
    model = tmp_path / artifact.name
    model.write_bytes(artifact.data)
    words = ["finetune", str(model), "--data", str(logged.folder / "samples.npz"), "--input-range", "0,1", "--quiet"]
    outs = [tmp_path / f"{number}{model.suffix}" for number in range(2)]
    for out, option in zip(outs, ("--log", "--reproduce"), strict=True):
        assert main([*words, "--out", str(out), option, str(tmp_path / "log.json")]) == 0
    assert outs[0].read_bytes() == outs[1].read_bytes()


def check_refused(
    logged: Logged, folder: Path, capsys: Any, log: Path, status: int, said: str, data: str = "samples.npz"
) -> None:
    out = folder / "again.edgecnn"
    capsys.readouterr()
    assert main(logged.words(out, "--reproduce", log, data=data)) == status
    output = capsys.readouterr()
    (line,) = output.err.splitlines()
    assert line.startswith("error: ")
    assert said in line
    assert output.out == ""
    assert {path.name for path in folder.iterdir()} <= {log.name}


@pytest.mark.parametrize(
    ("place", "value", "status", "said"),
    [
        ("config/seed", 6, 1, "other bytes than the log's"),
        ("config/holdout", 0.3, 1, "other bytes than the log's"),
        ("config/training/l2", 0.5, 1, "other bytes than the log's"),
        ("config/training/optimizer", "sgd", 1, "other bytes than the log's"),
        ("config/training/balanced", True, 1, "other bytes than the log's"),
        ("config/training/smoothing", 0.1, 1, "other bytes than the log's"),
        ("config/training/settings/passes", 2, 1, "other bytes than the log's"),
        ("config/holdout", 2, 2, "holdout must be a share"),
        ("config/training/settings/momentum", None, 2, "error: "),
        ("config/training/optimizer", "adam", 2, "adam"),
        ("head_sha256", "0" * 64, 1, "head_sha256"),
        ("artifact_sha256", "0" * 64, 1, "artifact_sha256"),
        ("bundle_sha256", "0" * 64, 1, "bundle_sha256"),
        ("holdout", [], 1, "'holdout'"),
        ("steps", 1, 1, "'steps'"),
        ("data/sha256", "0" * 64, 2, "the samples are not those of the log"),
        ("origin/machine", "riscv64", 2, "another kind of processor: riscv64"),
        ("origin/artifact", "0" * 64, 2, "another model file"),
        ("origin/runtime", "litert 0.1", 2, "another runtime: litert 0.1"),
    ],
)
def test_a_changed_log_is_one_clear_line_and_saves_nothing(logged, tmp_path, capsys, place, value, status, said):
    log = json.loads(logged.log.read_text())
    *way, last = place.split("/")
    part = log
    for name in way:
        part = part[name]
    assert part[last] != value
    part[last] = value
    (tmp_path / "log.json").write_text(json.dumps(log))
    check_refused(logged, tmp_path, capsys, tmp_path / "log.json", status, said)


@pytest.mark.parametrize("data", ["one-fewer.npz", "one-pixel.npz", "one-label.npz"])
def test_other_samples_are_one_clear_line_and_save_nothing(logged, tmp_path, capsys, data):
    said = "the samples are not those of the log"
    check_refused(logged, tmp_path, capsys, logged.log, 2, said, data)


@pytest.mark.parametrize("option", ["--seed", "--holdout", "--l2", "--epochs"])
def test_an_option_whose_value_is_the_logs_is_refused(logged, tmp_path, capsys, option):
    out = tmp_path / "again.edgecnn"
    assert main(logged.words(out, "--reproduce", logged.log, option, "1")) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"--reproduce takes {option} from the log" in line
    assert list(tmp_path.iterdir()) == []
