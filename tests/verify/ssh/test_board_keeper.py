"""The script that a board runs, here in this process: what it answers to files that come, and to what goes wrong."""

import fcntl
import hashlib
import json
import os
import sys
import threading
import zipfile

import pytest

from edge_cnn.verify.devices import board_agent, board_keeper
from edge_cnn.verify.devices.board_keeper import MARK, KeeperError

DATA = bytes(range(256)) * 40
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def receive(tmp_path, capsys):
    """Sends bytes to `receive`; gives its answer."""

    def send(sent):
        reading, writing = os.pipe()
        with open(reading, "rb", buffering=0) as stdin, open(writing, "wb") as host:
            host.write(sent)
            host.close()
            board_keeper.receive(tmp_path, {"sha256": SHA256, "size": len(DATA)}, stdin)
        return json.loads(capsys.readouterr().out.splitlines()[-1].removeprefix(MARK))

    return send


def part(tmp_path):
    return tmp_path / "incoming" / f"{SHA256}.part"


def whole(tmp_path):
    return tmp_path / "incoming" / SHA256


def test_a_file_that_ends_early_stays_as_a_part_and_the_rest_completes_it(receive, tmp_path):
    with pytest.raises(KeeperError) as error:
        receive(b"y" + DATA[:1000])
    assert error.value.args[0] == "broken"
    assert part(tmp_path).read_bytes() == DATA[:1000]
    assert not whole(tmp_path).exists()
    answer = receive(b"y" + DATA[1000:])
    assert answer == {"offset": 1000, "sha256": hashlib.sha256(DATA[:1000]).hexdigest()}
    assert whole(tmp_path).read_bytes() == DATA
    assert not part(tmp_path).exists()


def test_a_file_that_is_there_is_not_taken_again(receive, tmp_path):
    receive(b"y" + DATA)
    assert receive(b"")["offset"] == len(DATA)
    assert whole(tmp_path).read_bytes() == DATA


def test_the_host_may_say_that_a_part_is_no_beginning(receive, tmp_path):
    part(tmp_path).parent.mkdir()
    part(tmp_path).write_bytes(b"something else")
    receive(b"n" + DATA)
    assert whole(tmp_path).read_bytes() == DATA


def test_a_part_that_is_too_long_starts_anew(receive, tmp_path):
    part(tmp_path).parent.mkdir()
    part(tmp_path).write_bytes(DATA + b"more")
    assert receive(b"y" + DATA)["offset"] == 0
    assert whole(tmp_path).read_bytes() == DATA


def test_a_file_of_another_hash_is_refused_and_forgotten(receive, tmp_path):
    with pytest.raises(KeeperError) as error:
        receive(b"y" + DATA[::-1])
    assert error.value.args[0] == "damaged"
    assert not part(tmp_path).exists()
    assert not whole(tmp_path).exists()


def test_a_host_that_falls_silent_leaves_a_part(tmp_path, monkeypatch):
    monkeypatch.setattr(board_keeper, "SILENCE_S", 0.1)
    reading, writing = os.pipe()
    try:
        os.write(writing, b"y" + DATA[:500])
        with open(reading, "rb", buffering=0) as stdin, pytest.raises(KeeperError, match="broken"):
            board_keeper.receive(tmp_path, {"sha256": SHA256, "size": len(DATA)}, stdin)
    finally:
        os.close(writing)
    assert part(tmp_path).read_bytes() == DATA[:500]


def test_two_hosts_wait_for_each_other(tmp_path):
    held = threading.Event()
    order = []

    def first():
        with board_keeper.lock(tmp_path / "lock", 5):
            held.set()
            order.append("first")

    with board_keeper.lock(tmp_path / "lock", 5):
        thread = threading.Thread(target=first)
        thread.start()
        assert not held.wait(0.3)
        order.append("second")
        with pytest.raises(KeeperError, match="busy"), board_keeper.lock(tmp_path / "lock", 0.1):
            pass
    thread.join(5)
    assert order == ["second", "first"]


def test_sources_are_unpacked_whole_and_what_came_is_removed(tmp_path):
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    with zipfile.ZipFile(incoming / "abc", "w") as archive:
        archive.writestr("edge_cnn/module.py", "VALUE = 1\n")
    (tmp_path / "device-side" / "old").mkdir(parents=True)
    request = {"sha256": "abc", "fingerprint": "new"}
    board_keeper.unpack(tmp_path, request)
    assert [p.name for p in (tmp_path / "device-side").iterdir()] == ["new"]
    assert (tmp_path / "device-side/new/edge_cnn/module.py").read_text() == "VALUE = 1\n"
    assert list((tmp_path / "device-side/new/edge_cnn/__pycache__").iterdir()), "compiled, as pip does"
    assert list(incoming.iterdir()) == []
    looked = board_keeper.look(tmp_path, request)
    assert looked["sources"]
    assert looked["environments"] == []
    assert looked["python"] == list(sys.version_info[:3])


def test_a_folder_in_use_is_not_removed(tmp_path):
    folder = tmp_path / "used"
    folder.mkdir()
    with board_agent.in_use(folder):
        board_keeper.remove_unused(folder)
        assert folder.exists()
    board_keeper.remove_unused(folder)
    assert not folder.exists()


def test_an_environment_is_not_begun_without_space_for_it(tmp_path, monkeypatch):
    monkeypatch.setattr(board_keeper, "NEEDED_BYTES", 2**62)
    with pytest.raises(KeeperError) as error:
        board_keeper.install(tmp_path, {"key": "k"})
    kind, detail = error.value.args
    assert kind == "space"
    assert detail.endswith(f"{2**42} MB needed")
    assert not (tmp_path / "environments" / "k").exists()


def test_a_complete_environment_is_left_alone(tmp_path):
    (tmp_path / "environments" / "k").mkdir(parents=True)
    (tmp_path / "environments" / "k" / "ready").touch()
    assert board_keeper.install(tmp_path, {"key": "k"}) == {}


@pytest.mark.parametrize(
    ("said", "kind", "detail"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "space", "MB free"),
        ("ERROR: [Errno 122] Disk quota exceeded: '/x'", "space", "MB free"),
        (
            "WARNING: Retrying: NewConnectionError('Failed to establish')\nERROR: No matching distribution found for x",
            "network",
            "No matching distribution found for x",
        ),
        (
            "ERROR: No matching distribution found for x\nhint: see above\n",
            "pip",
            "No matching distribution found for x",
        ),
        ("something else\n\n", "pip", "something else"),
        ("", "pip", "exit status 3"),
    ],
)
def test_what_pip_says_is_told_by_its_kind(said, kind, detail, tmp_path):
    with pytest.raises(KeeperError) as error:
        board_keeper.run([sys.executable, "-c", f"import sys; print({said!r}); sys.exit(3)"], "pip", tmp_path)
    assert error.value.args[0] == kind
    assert detail in error.value.args[1]


def test_a_step_that_succeeds_says_nothing(tmp_path, capfd):
    board_keeper.run([sys.executable, "-c", "print('No space left on device')"], "pip", tmp_path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("code", "status"), [(0, 0), (3, 3), (254, 254), (255, 254), (-11, 139), (-9, 137)])
def test_an_exit_status_is_a_shells_and_never_the_ssh_clients_own(code, status):
    assert board_agent.shell_status(code) == status


def test_a_32_bit_system_on_a_64_bit_kernel_is_an_armv7(monkeypatch):
    monkeypatch.setattr(board_keeper.platform, "machine", lambda: "aarch64")
    assert board_keeper.machine() == "aarch64"
    monkeypatch.setattr(board_keeper.struct, "calcsize", lambda _: 4)
    assert board_keeper.machine() == "armv7l"


def test_an_answer_is_one_line_whatever_happens(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("EDGE_CNN_CACHE", str(tmp_path / "cache"))
    assert board_keeper.main({"op": "look", "fingerprint": "f"}) == 0
    answer = json.loads(capsys.readouterr().out.removeprefix(MARK))
    assert answer["root"] == str(tmp_path / "cache" / "board")
    (tmp_path / "file").touch()
    monkeypatch.setenv("EDGE_CNN_CACHE", str(tmp_path / "file"))
    assert board_keeper.main({"op": "look", "fingerprint": "f"}) == 0
    answer = json.loads(capsys.readouterr().out.removeprefix(MARK))
    assert answer["error"] == "file"
    assert str(tmp_path / "file") in answer["detail"]


def test_locks_are_those_of_other_programs_as_well(tmp_path):
    with open(tmp_path / "lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(KeeperError, match="busy"), board_keeper.lock(tmp_path / "lock", 0):
            pass
