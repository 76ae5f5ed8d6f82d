import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from edge_cnn.cli.main import main
from edge_cnn.cli.output_path import check_apart, check_file, check_folder, check_page
from edge_cnn.core.errors import InputError


@pytest.fixture
def unwritable(tmp_path):
    """A folder that the system refuses to write into, also to the superuser."""
    if os.geteuid() == 0:
        path = Path("/proc/self")
        if not path.is_dir():
            pytest.skip("the superuser may write everywhere here")
        return path
    path = tmp_path / "shut"
    path.mkdir(mode=0o555)
    return path


def refusal(check, *arguments):
    with pytest.raises(InputError) as caught:
        check(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_a_killed_check_or_writer_left_is_removed(tmp_path):
    """Also where the command then does not come to write the file."""
    left = [".tuned-abcdefgh.npz", ".tuned-0123_xyz.npz"]
    others = [".tuned-short.npz", ".tuned-abcdefgh.txt", ".other-abcdefgh.npz"]
    for name in (*left, *others):
        (tmp_path / name).write_bytes(b"half")
    check_file(tmp_path / "tuned.npz", [".npz"])
    assert {path.name for path in tmp_path.iterdir()} == set(others)


def test_a_good_place_stays_as_it_is(tmp_path):
    (tmp_path / "old.npz").write_bytes(b"old")
    check_file(tmp_path / "old.npz", [".npz"])
    check_file(tmp_path / "NEW.NPZ", [".npz"])
    check_file(tmp_path / "anything")
    check_folder(tmp_path)
    check_folder(tmp_path / "new" / "below")
    assert [path.name for path in tmp_path.iterdir()] == ["old.npz"]
    assert (tmp_path / "old.npz").read_bytes() == b"old"


def test_a_relative_name_is_tried_in_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_file(Path("a.npz"), [".npz"])
    check_folder(Path("a/b"))
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_place_is_refused(unwritable):
    assert "--out" in refusal(check_file, unwritable / "a.npz", [".npz"])
    assert "--out" in refusal(check_folder, unwritable)
    assert "cannot write there" in refusal(check_folder, unwritable / "new" / "below")


def test_a_full_disk_is_refused_and_leaves_no_folder(tmp_path, monkeypatch):
    def full(**_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "mkstemp", full)
    assert "cannot write there: No space left" in refusal(check_file, tmp_path / "a")
    assert "cannot write there: No space left" in refusal(check_folder, tmp_path / "new" / "below")
    assert list(tmp_path.iterdir()) == []


def test_names_that_cannot_be_are_refused(tmp_path):
    (tmp_path / "file").write_text("here first")
    (tmp_path / "folder.npz").mkdir()
    assert "ending with .npz or .edgecnn" in refusal(check_file, tmp_path / "a.csv", [".npz", ".edgecnn"])
    assert "there is a folder of this name" in refusal(check_file, tmp_path / "folder.npz", [".npz"])
    assert "there is no folder" in refusal(check_file, tmp_path / "none" / "a.npz", [".npz"])
    assert "there is no folder" in refusal(check_file, tmp_path / "file" / "a.npz", [".npz"])
    assert "is a file, a folder is wanted" in refusal(check_folder, tmp_path / "file" / "below")
    assert "name too long" in refusal(check_file, tmp_path / f"{'a' * 250}.npz", [".npz"])
    assert "name too long" in refusal(check_folder, tmp_path / ("a" * 300))
    assert "--report" in refusal(check_file, tmp_path / "none" / "a", (), "--report")


def test_commands_find_an_unwritable_place_before_they_work(unwritable, capsys, monkeypatch):
    for work in ("data_source.load_data", "datasets.load_dataset"):
        monkeypatch.setattr(f"edge_cnn.host.{work}", lambda *_a, **_k: 1 / 0)
    monkeypatch.setattr("converters.sources.load.load_classifier", lambda _path: 1 / 0)
    monkeypatch.setattr("edge_cnn.cli.verify_command.verify", lambda *_a, **_k: 1 / 0)
    for words in (
        ["train", "--data", "digits", "--arch", "lenet", "--out", str(unwritable / "o")],
        ["export", "m.keras", "--target", "rpi5", "--calibration", "digits", "--out", str(unwritable / "m.edgecnn")],
        ["data", "digits", "--out", str(unwritable / "d.npz")],
        ["verify", "m.edgecnn", "--report", str(unwritable / "r.html")],
        ["verify", "m.edgecnn", "--junit", str(unwritable / "r.xml")],
    ):
        assert main(words) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith(f"error: {words[-2]} ")
        assert captured.err.count("\n") == 1


def test_the_helper_imports_nothing_heavy():
    code = "import edge_cnn.cli.output_path, sys; print({'numpy', 'click', 'tensorflow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_pipe_is_refused_before_any_work(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="a pipe or a device"):
        check_file(tmp_path / "pipe")


def test_two_names_of_one_file_are_told(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "file")
    check_apart({"--report": tmp_path / "file", "--junit": tmp_path / "other", "--baseline": None})
    with pytest.raises(InputError, match="--report and --junit are the same file"):
        check_apart({"--report": tmp_path / "file", "--junit": tmp_path / "link"})


@pytest.mark.parametrize(
    "words",
    [
        ["explain", "m.tflite", "--reference", "r.tflite", "--data", "data.npz"],
        ["export", "m.keras", "--target", "rpi5", "--calibration", "data.npz", "--out", "m.edgecnn"],
    ],
)
def test_a_page_goes_over_no_data_and_no_other_file(tmp_path, capsys, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.npz").write_bytes(b"samples")
    for report, said in (("data.npz", "are the same file, data.npz"), ("page", "give a name ending with .html")):
        assert main([*words, "--report", report]) == 2
        assert said in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["data.npz"]
    assert (tmp_path / "data.npz").read_bytes() == b"samples"


def test_no_page_is_no_page(tmp_path):
    check_page(None, {"MODEL": tmp_path / "a", "--data": "digits"})
