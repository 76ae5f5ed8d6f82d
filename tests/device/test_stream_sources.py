import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_cnn.core.errors import DataError
from edge_cnn.device.opening import open_classifier
from edge_cnn.device.stream.folder_watch import TRIES, FolderWatch
from edge_cnn.device.stream.sample_files import read_sample
from edge_cnn.device.stream.sample_lines import MAX_LINE, parse_line


@pytest.mark.parametrize(
    ("line", "path", "label"),
    [
        (b"a.png\tcat\n", "a.png", "cat"),
        (b"a b\tc.png\tcat\r\n", "a b\tc.png", "cat"),
        (json.dumps({"image": "ä.png", "label": "Katze", "more": 1}).encode(), "ä.png", "Katze"),
        (b'{"image": "a.png", "label": 3}', "a.png", "3"),
        ("ü/a.png\tcat".encode(), "ü/a.png", "cat"),
    ],
)
def test_lines_name_a_file_and_its_class(line, path, label):
    named = parse_line(line)
    assert (str(named.path), named.label) == (path, label)


def test_a_path_that_is_no_text_is_kept_as_it_is():
    import os

    assert os.fsencode(parse_line(b"\xff\xfe.png\tcat").path) == b"\xff\xfe.png"


@pytest.mark.parametrize("line", [b"", b"\n", b"  \r\n"])
def test_blank_lines_say_nothing(line):
    assert parse_line(line) is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"a.png cat", "no tab"),
        (b"a.png\t ", "label is empty"),
        (b"\tcat", "path is empty"),
        (b'{"image": "a.png"', "not JSON"),
        (b'{"image": "a.png"}', "no 'label'"),
        (b'{"image": 3, "label": "cat"}', "must be texts"),
        (b'{"image": "a.png", "label": true}', "must be texts"),
        (b"a\0.png\tcat", "NUL"),
        (b"[" * 10 + b"\t", "label is empty"),
        (b'{"image": ' + b"[" * 60000, "not JSON"),
        (b"a" * (MAX_LINE + 1), "more than"),
    ],
)
def test_lines_that_say_neither_are_refused_with_what_they_should_say(line, said):
    with pytest.raises(DataError, match=said) as caught:
        parse_line(line)
    assert "give path<TAB>label" in str(caught.value)


def test_arrays_stand_for_pixels_or_for_model_inputs(bundle_path, digits_split, tmp_path):
    classifier = open_classifier(bundle_path)
    image = digits_split[1].images[0]
    np.save(tmp_path / "pixels.npy", image[:, :, 0])
    np.save(tmp_path / "input.npy", image.astype(np.float64) / 255)
    Image.fromarray(image[:, :, 0]).save(tmp_path / "image.png")
    read = [read_sample(tmp_path / name, classifier) for name in ("pixels.npy", "input.npy", "image.png")]
    assert [r.dtype for r in read] == [np.uint8, np.float32, np.uint8]
    assert len({classifier.encode(r[None]).tobytes() for r in read}) == 1


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((3, 3), np.float32), "takes inputs of shape"),
        (np.full((28, 28, 1), np.inf, np.float32), "infinity"),
        (np.zeros((28, 28, 1), np.int64), "int64"),
        (np.zeros(5, np.uint8), "reshape"),
    ],
)
def test_arrays_that_the_model_does_not_take_are_refused_by_name(bundle_path, tmp_path, array, said):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(DataError, match=rf"a\.npy.*{said}"):
        read_sample(tmp_path / "a.npy", open_classifier(bundle_path))


@pytest.mark.parametrize("length", [0, 3, 60, 500])
def test_half_an_array_is_no_array(bundle_path, tmp_path, length):
    np.save(tmp_path / "a.npy", np.zeros((28, 28), np.uint8))
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:length])
    with pytest.raises(DataError, match="not a readable"):
        read_sample(tmp_path / "a.npy", open_classifier(bundle_path))


@pytest.fixture
def watched(tmp_path):
    (tmp_path / "cat").mkdir()
    notes = []
    watch = FolderWatch(tmp_path, ("cat", "dog"), notes.append)
    watch.notes = notes
    return watch


def names(watch):
    return [(file.path.name, file.label) for file in watch.poll()]


def test_a_file_is_ready_when_it_was_the_same_twice(watched, tmp_path):
    file = tmp_path / "cat" / "a.png"
    file.write_bytes(b"half")
    assert names(watched) == []
    assert watched.changing
    file.write_bytes(b"half and half")
    assert names(watched) == []
    assert names(watched) == [("a.png", "cat")]
    assert not watched.changing
    watched.took(file)
    assert names(watched) == []


def test_sub_folders_may_come_later_and_be_deep_and_the_oldest_file_is_first(watched, tmp_path):
    import os

    (tmp_path / "dog" / "monday").mkdir(parents=True)
    for number, name in enumerate(("cat/b.png", "dog/monday/a.JPG", "cat/c.npy")):
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (1000 - number, 1000 - number))
    assert names(watched) == []
    assert names(watched) == [("c.npy", "cat"), ("a.JPG", "dog"), ("b.png", "cat")]


def test_a_file_that_cannot_be_read_is_tried_again_and_then_noted_once_until_it_changes(watched, tmp_path):
    file = tmp_path / "cat" / "a.png"
    file.write_bytes(b"half")
    watched.poll()
    for _ in range(TRIES):
        assert names(watched) == [("a.png", "cat")]
        assert watched.notes == []
        watched.failed(file, "a.png is damaged")
    assert names(watched) == []
    assert watched.notes == ["skipped: a.png is damaged"]
    file.write_bytes(b"half and half")
    watched.poll()
    assert names(watched) == [("a.png", "cat")]
    watched.took(file)
    assert watched.close() == []


def test_what_is_still_unreadable_at_the_end_is_told(watched, tmp_path):
    file = tmp_path / "cat" / "a.png"
    file.write_bytes(b"half")
    watched.poll()
    watched.poll()
    watched.failed(file, "a.png is damaged")
    assert watched.close() == ["a.png is damaged"]
    assert watched.notes == ["skipped: a.png is damaged"]


def test_what_does_not_count_is_left_out_and_told_once(watched, tmp_path):
    for name in ("x.png", "cow/a.png", "cow/b.png", "cat/.hidden.png", ".git/a.png", "cat/readme.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "cat" / "nowhere.png").symlink_to("none")
    for _ in range(3):
        assert names(watched) == []
    assert len(watched.notes) == 2
    assert any("'cow' is not one of the model's classes cat, dog" in note for note in watched.notes)
    assert any("itself" in note for note in watched.notes)


@pytest.mark.parametrize("folder", [".", "./cat/..", "cat/../"])
def test_files_of_a_relative_folder_are_taken_once(tmp_path, monkeypatch, folder):
    (tmp_path / "cat").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "cat" / name).write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    watch = FolderWatch(Path(folder), ("cat",), lambda _: None)
    assert watch.poll() == []
    first, second = watch.poll()
    watch.took(first.path)
    watch.failed(second.path, "b.png is damaged")
    (again,) = watch.poll()
    assert again == second
    watch.took(again.path)
    assert watch.poll() == []
    assert watch.close() == []


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DataError, match="no folder at"):
        FolderWatch(tmp_path / "none", ("cat",), lambda _: None)


def test_a_pipe_in_a_watched_folder_is_passed_over(tmp_path):
    (tmp_path / "cat").mkdir()
    os.mkfifo(tmp_path / "cat" / "pipe.png")
    watch = FolderWatch(tmp_path, ("cat", "dog"), lambda _: None)
    assert [watch.poll() for _ in range(3)] == [[], [], []]
