import json
import sys

import pytest

from edge_cnn.core.errors import DeviceUnavailableError
from edge_cnn.verify.devices.guest_wheels import install_wheels


def test_wheels_are_fetched_for_the_guest_and_not_for_the_host(tmp_path, monkeypatch):
    log = tmp_path / "log.json"
    pip = tmp_path / "python"
    pip.write_text(f"#!{sys.executable}\nimport json, sys\njson.dump(sys.argv[1:], open({str(log)!r}, 'w'))\n")
    pip.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(pip))
    install_wheels(("numpy==2.4.6",), ("manylinux_2_28_aarch64", "any"), tmp_path / "site")
    words = json.loads(log.read_text())
    assert words[-5:] == ["--platform", "manylinux_2_28_aarch64", "--platform", "any", "numpy==2.4.6"]
    assert "--no-deps" in words
    assert words[words.index("--python-version") + 1] == "3.11"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("/usr/bin/python3: No module named pip", "has no pip; give it one with"),
        (
            "WARNING: Retrying after connection broken by 'NameResolutionError(...)': /simple/numpy/\n"
            "ERROR: Could not find a version that satisfies the requirement numpy==2.4.6 (from versions: none)\n"
            "ERROR: No matching distribution found for numpy==2.4.6",
            "No matching distribution found for numpy==2.4.6; check the network",
        ),
        ("ERROR: No matching distribution found for numpy==9", "found for numpy==9; see 'pip config list'"),
    ],
    ids=["no pip", "no network", "no wheel"],
)
def test_what_pip_cannot_do_is_told_in_one_line(tmp_path, monkeypatch, said, told):
    pip = tmp_path / "python"
    pip.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{said}\nEND\nexit 1\n")
    pip.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(pip))
    with pytest.raises(DeviceUnavailableError) as error:
        install_wheels(("numpy==2.4.6",), ("any",), tmp_path / "site")
    assert told in str(error.value)
    assert "\n" not in str(error.value)
