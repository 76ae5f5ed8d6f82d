from __future__ import annotations

import json

import pytest

from edge_cnn.cli.main import main
from edge_cnn.core.errors import DeviceUnavailableError
from edge_cnn.verify.devices import table
from edge_cnn.verify.devices.local import parse_local


class Bench:
    """A device that is ready once its set-up has run."""

    def __init__(self, fails: bool = False) -> None:
        self.ready, self.fails, self.runs = False, fails, 0

    def missing(self) -> str | None:
        return None if self.ready else "it was never set up"

    def setup(self, on_step: table.Callable[[int, int, str], None]) -> None:
        self.runs += 1
        on_step(0, 2, "fetching")
        if self.fails:
            raise DeviceUnavailableError("cannot fetch it: the network is unreachable; try again when it is back")
        on_step(1, 2, "unpacking")
        self.ready = True


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    made = Bench()
    kind = table.DeviceKind("bench", "bench[:RUNTIME]", "a board on the bench", parse_local, made)
    monkeypatch.setitem(table.DEVICE_KINDS, "bench", kind)
    return made


def test_every_kind_is_listed_with_its_form(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices"]) == 0
    out = capsys.readouterr().out
    assert all(kind.form in out for kind in table.DEVICE_KINDS.values())


def test_a_device_that_is_not_ready_comes_with_the_command_that_makes_it(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["devices", "--json"]) == 0
    (row,) = [r for r in json.loads(capsys.readouterr().out)["devices"] if r["name"] == "bench"]
    assert (row["ready"], row["missing"], row["setup"]) == (
        False,
        "it was never set up",
        "edge-cnn devices setup bench",
    )
    assert main(["devices"]) == 0
    assert "it was never set up; make it ready with 'edge-cnn devices setup bench'" in capsys.readouterr().out
    assert bench.runs == 0


def test_setup_makes_it_ready_once_and_tells_its_steps_on_stderr(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["devices", "setup", "bench", "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err.splitlines() == ["setting up bench 1/2: fetching", "setting up bench 2/2: unpacking"]
    assert json.loads(captured.out)["devices"][0]["ready"]
    assert main(["devices", "setup", "bench"]) == 0
    assert capsys.readouterr().err == "bench is ready already\n"
    assert bench.runs == 1


def test_a_setup_that_fails_says_why_and_leaves_it_not_ready(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.fails = True
    assert main(["devices", "setup", "bench", "--quiet"]) == 3
    assert capsys.readouterr().err.startswith("error: cannot fetch it: the network is unreachable")
    assert not bench.ready


@pytest.mark.parametrize(("name", "part"), [("local", "needs no set-up here"), ("board", "unknown device 'board'")])
def test_what_cannot_be_set_up_is_refused_before_anything_is_done(
    name: str, part: str, bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["devices", "setup", "bench", name]) == 2
    assert part in capsys.readouterr().err
    assert bench.runs == 0


def test_a_device_that_is_not_ready_is_not_there(bench: Bench, bundle_path, capsys) -> None:
    assert main(["verify", str(bundle_path), "--on", "bench"]) == 3
    assert "it was never set up; make it ready with 'edge-cnn devices setup bench'" in capsys.readouterr().err
    assert bench.runs == 0


def test_all_devices_are_the_ready_ones_that_are_not_opt_in(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "bench" not in table.device_names(("all",))
    bench.ready = True
    assert table.device_names(("all", "local:litert-ref", "local"))[0] == "local"
    assert "bench" in table.device_names(("all",))
    monkeypatch.setitem(
        table.DEVICE_KINDS, "bench", table.DeviceKind("bench", "bench", "large", parse_local, bench, opt_in=True)
    )
    assert "bench" not in table.device_names(("all",))
