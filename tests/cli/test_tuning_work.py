"""`edge-cnn finetune` that is interrupted, cached, logged, or given what it cannot use."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
from PIL import Image

from edge_cnn.cli.main import INTERRUPTED, main
from edge_cnn.cli.tuning_work import work_folder
from edge_cnn.device.finetuning.embedding import Embedder
from edge_cnn.device.finetuning.embedding_store import digest_of
from edge_cnn.device.finetuning.training_checkpoint import OUTDATED, TrainingCheckpoint
from edge_cnn.device.finetuning.work import EMBEDDINGS, LOCK
from tests.unmeasured import unmeasured

SAMPLES = 60
QUICK = ("--l2", "0.1", "--epochs", "8")
"""No search for L2, which is what would take the time."""


@pytest.fixture
def place(tmp_path, monkeypatch, artifacts, digits_split):
    """The folder that commands run in, with a model file and data in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.tflite").write_bytes(artifacts["int8.tflite"].data)
    save(tmp_path / "data.npz", *inverted(digits_split))
    return tmp_path


def inverted(digits_split, count=SAMPLES):
    test = digits_split[1]
    return 255 - test.images[:count], test.labels[:count]


def save(path, x, y, **others):
    np.savez(path, x=x, y=y, **others)


def words(*more, model="model.tflite", data="data.npz", out="tuned.tflite"):
    return ["finetune", model, "--data", data, "--out", out, *QUICK, *more]


def tune(capsys, *more, **places):
    """(status, stdout, stderr)"""
    status = main(words(*more, **places))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def document(capsys, *more, **places):
    status, out, err = tune(capsys, "--json", *more, **places)
    assert status == 0, err
    return json.loads(out)


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def refused(capsys, folder, said, *more, status=2, **places):
    """Exit status, one line, and not a byte changed."""
    before = contents(folder)
    found, out, err = tune(capsys, "--quiet", *more, **places)
    assert (found, out) == (status, ""), err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert ";" in err or "?" in err, "says what to do next"
    assert said in err
    assert contents(folder) == before
    return err


def write_images(folder, images, labels):
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[:, :, 0]).save(folder / str(label) / f"{i:03}.png")
    return folder


def child(script, *arguments, **options):
    """A process that runs `script`, then `main` with the arguments."""
    options["env"] = unmeasured()
    code = textwrap.dedent(script) + "\nimport sys\nfrom edge_cnn.cli.main import main\nsys.exit(main(sys.argv[1:]))"
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--memory", "nan"], "--memory must be a number of MB"),
        (["--memory", "inf"], "--memory must be a number of MB"),
        (["--memory", "1e308"], "--memory must be a number of MB"),
        (["--memory", "1"], "fine-tuning needs at least"),
        (["--cache", "none/cache"], "--cache none/cache: there is no folder"),
        (["--cache", "data.npz"], "the same file"),
        (["--cache", "letter.txt"], "letter.txt holds no embeddings; name another file"),
        (["--cache", "folder"], "there is a folder of this name"),
        (["--cache", "tuned.tflite.tuning"], "the work folder and --cache are the same file"),
        (["--log", "tuned.tflite"], "--out and --log are the same file"),
        (["--log", "tuned.tflite.tuning"], "the work folder and --log are the same file"),
        (["--log", "none/log"], "there is no folder"),
        (["--log", "a.html", "--report", "a.html"], "the same file"),
        (["--log", "/proc/self/log"], "--log /proc/self/log: cannot write there"),
        (["--cache", "/proc/self/cache"], "cannot write there"),
        (["--report", "/proc/self/a.html"], "cannot write there"),
        (["--out", "/proc/self/tuned.tflite"], "cannot write there"),
        (["--out", "none/tuned.tflite"], "there is no folder"),
        (["--reproduce", "letter.txt"], "--reproduce takes --l2 from the log; leave it out"),
    ],
)
def test_options_that_make_no_sense_are_one_line_before_any_work(place, capsys, options, said):
    (place / "letter.txt").write_text("Dear reader")
    (place / "folder").mkdir()
    refused(capsys, place, said, *options)


def test_a_log_that_is_not_there_or_none_is_one_line(place, capsys):
    (place / "letter.txt").write_text("Dear reader")
    before = contents(place)
    for path, said in (("none", "cannot read the log none"), ("letter.txt", "letter.txt is no log of a fine-tuning")):
        usual = ["finetune", "model.tflite", "--data", "data.npz", "--out", "tuned.tflite", "--quiet"]
        assert main([*usual, "--reproduce", path]) == 2
        err = capsys.readouterr().err
        assert err.startswith(f"error: {said}")
        assert err.count("\n") == 1
        assert ";" in err
    assert contents(place) == before


def test_data_that_nothing_can_be_learned_from_is_one_line(place, capsys, digits_split):
    images, labels = inverted(digits_split)
    black = np.zeros_like(images)
    twice = np.concatenate([images, images]), np.concatenate([labels, (labels + 1) % 10])
    for name, (x, y), said in (
        ("one class", (images, np.full_like(labels, 3)), "all samples are of the class '3'"),
        # Equal images under different labels, and next to none left.
        ("black", (black, labels), "every image is there under different labels"),
        ("contradicting", twice, "every image is there under different labels: sample 0 (9) and sample 60 (0)"),
        ("few", (images[:9], labels[:9]), "at least 10 samples, got 9"),
        ("mostly copies", (np.repeat(images[:5], 4, axis=0), np.repeat(labels[:5], 4)), "at least 10 samples, got 5"),
        ("NaN", (np.full(images.shape, np.nan, np.float32), labels), "NaN"),
        ("empty", (images[:0], labels[:0]), "holds no samples"),
    ):
        path = place / f"{name}.npz"
        save(path, x, y)
        refused(capsys, place, said, data=str(path))


def test_images_that_look_all_alike_to_the_backbone_are_one_line(place, capsys, monkeypatch):
    codes = Embedder.codes
    monkeypatch.setattr(Embedder, "codes", lambda self, images: codes(self, np.zeros_like(images)))
    refused(capsys, place, "one and the same embedding for all 60 samples")


def test_fewer_samples_than_classes_are_learned_and_the_others_named(place, capsys, digits_split):
    images, labels = inverted(digits_split, 400)
    chosen = np.flatnonzero(np.isin(labels, [1, 4]))[:12]
    save(place / "few.npz", images[chosen], labels[chosen])
    told = document(capsys, data="few.npz")
    assert any("no sample, new or old, of 8 of 10 classes (0, 2, 3 and 5 more)" in r for r in told["remarks"])
    save(place / "ten.npz", images[:10], np.array([0, 0, 1, 2, 3, 4, 5, 6, 7, 8]))
    assert document(capsys, data="ten.npz")["holdout_samples"] == 1


def test_copies_and_contradictions_are_left_out_named_and_in_the_json(place, capsys, digits_split):
    images, labels = inverted(digits_split)
    data = write_images(place / "data", images, labels)
    for name in ("again.png", "and_again.png"):
        Image.fromarray(images[0, :, :, 0]).save(data / str(labels[0]) / name)
    wrong = data / str((labels[1] + 1) % 10) / "wrong.png"
    Image.fromarray(images[1, :, :, 0]).save(wrong)
    told = document(capsys, data="data")
    assert "left out 2 samples: copies of images that are there with the same label" in told["remarks"]
    (contradiction,) = (r for r in told["remarks"] if "under different labels" in r)
    assert f"data/{labels[1]}/001.png ({labels[1]})" in contradiction
    assert f"{wrong.relative_to(place)} ({wrong.parent.name})" in contradiction
    status, _, err = tune(capsys, data="data")
    assert status == 0
    for remark in told["remarks"]:
        assert err.count(remark) == 1


def test_labels_that_look_random_and_floats_that_look_like_pixels_are_told(place, capsys, digits_split):
    images, labels = inverted(digits_split, 200)
    save(place / "random.npz", images, np.random.default_rng(0).permutation(labels))
    _, _, err = tune(capsys, data="random.npz")
    assert "the labels look random to the backbone" in err
    save(place / "floats.npz", images.astype(np.float32), labels)
    _, _, err = tune(capsys, data="floats.npz")
    assert "x holds floats up to 255 while the model takes 0..1; save pixels as uint8" in err
    for remark in document(capsys)["remarks"]:
        assert "random" not in remark
        assert "floats" not in remark


def test_unreadable_and_stretched_images_are_told_once_and_counted_once(place, capsys, digits_split):
    images, labels = inverted(digits_split)
    data = write_images(place / "data", images, labels)
    files = sorted(data.rglob("*.png"))
    for i, size in enumerate([(56, 28), (28, 31), (27, 28), (56, 56), (29, 28), (20, 24)]):
        Image.open(files[i]).resize(size).save(files[i])
    for file in files[-2:]:
        file.write_bytes(b"no image")
    status, out, err = tune(capsys, "--json", "--report", "page.html", "--replay", "data", data="data")
    assert status == 0
    told = json.loads(out)
    assert told["skipped"] == sorted(str(f.relative_to(place)) for f in files[-2:])
    assert err.count("skipped: ") == 2
    assert err.count("skipped 2 unreadable images") == 1
    # 2:1, 31:28 and 24:20 are more than a tenth off, 27:28, 29:28 and another size are not.
    (stretched,) = (r for r in told["remarks"] if "stretched" in r)
    assert stretched.startswith("3 images were stretched by more than 10 % to fit 28x28;")
    assert err.count(stretched) == 1


def test_an_image_that_vanishes_before_the_last_check_is_one_line(place, capsys, digits_split, monkeypatch):
    from edge_cnn.device.finetuning import finetuning

    data, write_head = write_images(place / "data", *inverted(digits_split)), finetuning.write_head

    def and_files_go(*arguments):
        for file in data.rglob("*.png"):
            file.rename(file.with_suffix(".gone"))
        return write_head(*arguments)

    monkeypatch.setattr(finetuning, "write_head", and_files_go)
    status, out, err = tune(capsys, "--quiet", "--log", "log", "--report", "page.html", data="data")
    assert (status, out) == (2, "")
    assert err == "error: images have gone while the model was tuned with them; start again\n"
    assert sorted(p.name for p in place.iterdir()) == ["data", "data.npz", "model.tflite"]


def test_an_image_that_vanishes_before_the_report_is_drawn_blank(place, capsys, digits_split, monkeypatch):
    from edge_cnn.device.classifier import Classifier

    data, save_file = write_images(place / "data", *inverted(digits_split)), Classifier.save

    def and_half_of_the_files_go(classifier, path):
        save_file(classifier, path)
        for file in sorted(data.rglob("*.png"))[::2]:
            file.unlink()

    monkeypatch.setattr(Classifier, "save", and_half_of_the_files_go)
    assert document(capsys, "--report", "page.html", data="data")["saved"] is True
    assert (place / "page.html").read_text().count("<img alt") > 3


@pytest.fixture
def computed(monkeypatch):
    """Digests of the images that a backbone was run on."""
    told, codes = [], Embedder.codes

    def watched(embedder, images):
        told.extend(digest_of(image) for image in images)
        return codes(embedder, images)

    monkeypatch.setattr(Embedder, "codes", watched)
    return told


def test_with_a_cache_the_second_command_runs_the_backbone_for_no_image(place, capsys, computed):
    document(capsys, "--cache", "cache")
    assert len(computed) == SAMPLES
    first, kept = (place / "tuned.tflite").read_bytes(), (place / "cache").read_bytes()
    computed.clear()
    document(capsys, "--cache", "cache")
    assert (place / "tuned.tflite").read_bytes() == first
    document(capsys, "--cache", "cache", "--optimizer", "sgd", "--holdout", "0.3", "--balance", "--seed", "5")
    assert computed == []
    assert (place / "cache").read_bytes() == kept


def test_the_cache_of_another_model_or_input_range_is_one_line_and_kept(place, capsys, artifacts):
    document(capsys, "--cache", "cache")
    (place / "other.tflite").write_bytes(artifacts["float32.tflite"].data)
    said = "the embeddings in cache come from another model file, runtime or input range; name another file, or remove"
    refused(capsys, place, said, "--cache", "cache", model="other.tflite")
    refused(capsys, place, said, "--cache", "cache", model="tuned.tflite", out="twice.tflite")
    refused(capsys, place, said, "--cache", "cache", "--input-range", "-1,1")
    refused(capsys, place, said, "--cache", "cache", "--runtime", "litert-ref")


INTERRUPTIONS = ("embedding", "training")


def interrupt(where, number, monkeypatch, what=KeyboardInterrupt):
    """Raise in the `number`-th batch or pass; what was done before is saved."""
    monkeypatch.setattr("edge_cnn.device.finetuning.work.SAVE_SECONDS", 0.0)
    calls = []

    def counted(function):
        def call(*arguments):
            calls.append(None)
            if len(calls) == number:
                raise what
            return function(*arguments)

        return call

    owner, name = {"embedding": (Embedder, "codes"), "training": (TrainingCheckpoint, "save_training")}[where]
    monkeypatch.setattr(owner, name, counted(getattr(owner, name)))


@pytest.mark.parametrize("where", INTERRUPTIONS)
def test_ctrl_c_says_how_to_go_on_and_resume_ends_with_the_same_bytes(place, capsys, computed, monkeypatch, where):
    document(capsys, "--log", "log")
    whole = {name: (place / name).read_bytes() for name in ("tuned.tflite", "log")}
    for name in whole:
        (place / name).unlink()
    computed.clear()
    with monkeypatch.context() as patch:
        interrupt(where, 2, patch)
        status, out, err = tune(capsys, "--log", "log")
    assert (status, out) == (INTERRUPTED, "")
    assert err.endswith("error: interrupted\n")
    assert "the same command with --resume goes on, what is done lies in tuned.tflite.tuning\n" in err
    assert sorted(p.name for p in place.iterdir()) == ["data.npz", "model.tflite", "tuned.tflite.tuning"]
    told = document(capsys, "--log", "log", "--resume")
    assert OUTDATED not in told["remarks"]
    assert len(computed) == SAMPLES
    assert {name: (place / name).read_bytes() for name in whole} == whole
    assert not (place / "tuned.tflite.tuning").exists()


def test_resume_after_samples_have_changed_says_that_training_starts_anew(place, capsys, monkeypatch, digits_split):
    with monkeypatch.context() as patch:
        interrupt("training", 2, patch)
        assert tune(capsys)[0] == INTERRUPTED
    images, labels = inverted(digits_split, SAMPLES + 1)
    save(place / "data.npz", images, labels)
    told = document(capsys, "--resume")
    assert told["remarks"].count(OUTDATED) == 1
    resumed = (place / "tuned.tflite").read_bytes()
    document(capsys)
    assert (place / "tuned.tflite").read_bytes() == resumed


def test_resume_where_nothing_was_interrupted_starts_from_the_beginning_and_says_so(place, capsys):
    status, _, err = tune(capsys, "--resume")
    assert status == 0
    assert (place / "tuned.tflite").exists()
    assert "nothing was interrupted here, so it starts from the beginning" in err


def test_a_foreign_file_in_the_work_folder_is_kept(place, capsys):
    work = place / "tuned.tflite.tuning"
    work.mkdir()
    (work / "letter.txt").write_text("Dear reader")
    for more in ([], ["--resume"]):
        refused(capsys, place, "holds 'letter.txt', which no fine-tuning has put there", *more)
    (work / "letter.txt").unlink()
    work.rmdir()
    work.write_text("Dear reader")
    refused(capsys, place, "is a file, where fine-tuning keeps its work; remove it")


def test_the_work_of_another_output_stays(place, capsys, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt("training", 2, patch)
        assert tune(capsys)[0] == INTERRUPTED
    work = place / "tuned.tflite.tuning"
    before = contents(work)
    assert EMBEDDINGS in before
    document(capsys, out="another.tflite")
    assert contents(work) == before


@pytest.mark.parametrize("signalled", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("where", INTERRUPTIONS)
def test_a_signal_leaves_the_work_and_resume_ends_with_the_same_bytes(place, capsys, signalled, where):
    document(capsys)
    whole = (place / "tuned.tflite").read_bytes()
    (place / "tuned.tflite").unlink()
    script = f"""
        import os
        import edge_cnn.device.finetuning.work as work
        from edge_cnn.device.finetuning.embedding import Embedder
        from edge_cnn.device.finetuning.training_checkpoint import TrainingCheckpoint
        work.SAVE_SECONDS = 0.0
        owner, name = (Embedder, "codes") if {where!r} == "embedding" else (TrainingCheckpoint, "save_training")
        calls, real = [], getattr(owner, name)
        def call(*arguments):
            calls.append(None)
            if len(calls) == 2:
                os.kill(os.getpid(), {int(signalled)})
            return real(*arguments)
        setattr(owner, name, call)
    """
    process = child(script, *words())
    _, err = process.communicate(timeout=60)
    assert not (place / "tuned.tflite").exists()
    assert (place / "tuned.tflite.tuning" / EMBEDDINGS).exists()
    if signalled == signal.SIGINT:
        assert process.returncode == INTERRUPTED
        assert "with --resume goes on" in err
    else:
        assert process.returncode == -signal.SIGTERM, "as every command that nothing asks to end well"
    document(capsys, "--resume")
    assert (place / "tuned.tflite").read_bytes() == whole


def test_a_log_is_done_again_to_the_same_bytes_from_other_words(place, capsys, digits_split):
    document(capsys, "--log", "log", "--optimizer", "sgd", "--seed", "4", "--holdout", "0.3")
    first, log = (place / "tuned.tflite").read_bytes(), (place / "log").read_bytes()
    again = ["finetune", "model.tflite", "--data", "data.npz", "--out", "again.tflite", "--reproduce", "log"]
    assert main([*again, "--log", "log2"]) == 0
    assert (place / "again.tflite").read_bytes() == first
    assert (place / "log2").read_bytes() == log
    capsys.readouterr()

    def fails(status, said):
        before = contents(place)
        assert main([*again, "--quiet"]) == status
        err = capsys.readouterr().err
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        assert said in err
        assert contents(place) == before

    told = json.loads(log)
    (place / "log").write_text(json.dumps(told | {"head_sha256": "00"}))
    fails(1, "other bytes than the log's came out: head_sha256")
    (place / "log").write_text(json.dumps({name: told[name] for name in told if name != "class_names"}))
    assert main(again) == 0
    (place / "log").write_bytes(log)
    images, labels = inverted(digits_split, SAMPLES + 1)
    save(place / "data.npz", images, labels)
    capsys.readouterr()
    fails(2, "the samples are not those of the log")
    (place / "model.tflite").write_bytes(first)
    fails(2, "the log was made with another model file")


def test_an_output_that_cannot_be_written_leaves_no_log_and_no_work(place, capsys, monkeypatch):
    from edge_cnn.core.errors import InputError
    from edge_cnn.device.classifier import Classifier

    def fail(_, path):
        raise InputError(f"cannot write {path}: No space left on device; make room there")

    def fail_too(path, _):
        fail(None, path)

    monkeypatch.setattr(Classifier, "save", fail)
    refused(capsys, place, "No space left on device; make room there", "--log", "log")
    # A report that cannot be written either does not hide why.
    monkeypatch.setattr("edge_cnn.cli.finetune_command.write_atomically", fail_too)
    refused(capsys, place, "cannot write tuned.tflite: No space", "--log", "log", "--report", "page.html")


LIMITED = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
"""


@pytest.mark.parametrize("limit", [100, 1000, 5_000, 20_000, 60_000, 128_000])
def test_a_full_disk_is_one_line_and_leaves_nothing(place, limit):
    before = contents(place)
    process = child(LIMITED.format(limit=limit), *words("--quiet"))
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, ""), err
    assert err.startswith("error: cannot write")
    assert err.endswith("File too large; make room there\n")
    assert err.count("\n") == 1
    assert contents(place) == before
    assert not (place / "tuned.tflite.tuning").exists()


@pytest.mark.parametrize(("option", "module"), [("--log", "cli.tuning_work"), ("--report", "cli.finetune_command")])
def test_a_disk_that_is_full_at_the_end_says_so_and_keeps_the_tuned_file(place, option, module):
    script = f"""
        import resource
        import edge_cnn.{module} as module
        real = module.write_atomically
        def call(path, data):
            resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
            real(path, data)
        module.write_atomically = call
    """
    process = child(script, *words("--quiet", option, "page.html"))
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert err == "error: cannot write page.html: File too large; make room there\n"
    assert sorted(p.name for p in place.iterdir()) == ["data.npz", "model.tflite", "tuned.tflite"]


PAUSED = """
    import pathlib, time
    from edge_cnn.device.finetuning.training_checkpoint import TrainingCheckpoint
    real = TrainingCheckpoint.save_training
    def call(*arguments):
        pathlib.Path("ready").touch()
        while not pathlib.Path("go").exists():
            time.sleep(0.01)
        return real(*arguments)
    TrainingCheckpoint.save_training = call
"""


def wait_for(path, process, seconds=60):
    end = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)


def test_of_two_processes_with_one_output_or_one_cache_the_second_says_so_and_the_first_ends_well(place, capsys):
    document(capsys)
    whole = (place / "tuned.tflite").read_bytes()
    (place / "tuned.tflite").unlink()
    process = child(PAUSED, *words("--cache", "cache"))
    wait_for(place / "ready", process)
    for more in ([], ["--resume"]):
        refused(capsys, place, "another process is fine-tuning in tuned.tflite.tuning; wait for it to end", *more)
    refused(capsys, place, "another process uses the embeddings in cache", "--cache", "cache", out="other.tflite")
    assert (place / "tuned.tflite.tuning" / LOCK).exists()
    (place / "go").touch()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert (place / "tuned.tflite").read_bytes() == whole
    assert not (place / "tuned.tflite.tuning").exists()


@pytest.fixture
def slot(place, few_golden_path, capsys):
    """A slot in the folder, with a bundle in it."""
    assert main(["install", str(few_golden_path), "--slot", "slot"]) == 0
    capsys.readouterr()
    return place / "slot"


@pytest.mark.usefixtures("slot")
def test_of_two_processes_with_one_slot_the_second_says_so_and_the_first_ends_well(place, capsys):
    process = child(PAUSED, *words(model="slot", out="slot"))
    wait_for(place / "ready", process)
    refused(capsys, place, "another process is changing the slot", model="slot", out="slot")
    (place / "go").touch()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert main(["status", "--slot", "slot", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["active"]["counter"] == 2


def test_a_slot_of_a_newer_version_is_refused_and_kept(place, slot, capsys, few_golden_path):
    for record in slot.glob("state-*.json"):
        told = json.loads(record.read_bytes())
        del told["checksum"]
        told["schema_version"] = 99
        compact = json.dumps(told, sort_keys=True, separators=(",", ":")).encode()
        record.write_text(json.dumps(told | {"checksum": hashlib.sha256(compact).hexdigest()}))
    for model in (str(few_golden_path), "slot"):
        refused(capsys, place, "a newer edge_cnn wrote it", out="slot", model=model)


def test_a_slot_may_be_the_folder_that_one_is_in(place, slot, capsys, monkeypatch):
    monkeypatch.chdir(slot)
    assert document(capsys, model=".", out=".", data="../data.npz")["saved"] is True
    assert sorted(p.name for p in place.iterdir()) == ["data.npz", "model.tflite", "slot"]


def test_a_clock_that_goes_backwards_changes_nothing(place, slot, capsys, monkeypatch):
    hours = iter(range(10**6, 0, -1))
    monkeypatch.setattr(time, "time", lambda: 3600.0 * next(hours))
    for version in (2, 3):
        document(capsys, "--seed", str(version), model="slot", out="slot")
        assert main(["status", "--slot", "slot", "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["active"]["counter"] == version
    monkeypatch.undo()
    os.chdir(place)
    versions = [path.read_bytes() for path in sorted(slot.glob("*.edgecnn"))[1:]]
    fresh = place / "fresh"
    assert main(["install", str(next(iter(sorted(slot.glob("*.edgecnn"))))), "--slot", str(fresh)]) == 0
    capsys.readouterr()
    for version in (2, 3):
        document(capsys, "--seed", str(version), model=str(fresh), out=str(fresh))
    assert [path.read_bytes() for path in sorted(fresh.glob("*.edgecnn"))[1:]] == versions


def test_the_work_folder_of_a_link_stands_where_the_file_is_written(tmp_path):
    target, link = tmp_path / "there" / "out.tflite", tmp_path / "link.tflite"
    target.parent.mkdir()
    link.symlink_to(target)
    assert work_folder(link) == work_folder(target) == tmp_path / "there" / "out.tflite.tuning"
