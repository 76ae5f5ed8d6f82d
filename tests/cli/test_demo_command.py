"""The main job, end to end at a small size: it must never break unseen."""

import json
import re
from pathlib import Path

import pytest

from edge_cnn.cli.main import main

ROOT = Path(__file__).resolve().parents[2]

# In one process: what they share takes most of a minute to make.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("demo")]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Output folder, JSON document and remarks of one quick demo."""
    out = tmp_path_factory.mktemp("demo")
    # The environment of the other tests where it is there; else the demo makes its own, as it does for a user.
    ready = ROOT / ".venv-device"
    place = ["--device-venv", str(ready)] if (ready / ".ready").exists() else []
    with pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        patch.setattr("click.echo", lambda message="", **_: lines.append(str(message)))
        status = main(["demo", "--quick", "--out", str(out), "--json", *place])
    assert status == 0, lines[-1]
    return out, json.loads(lines[-1]), lines[:-1]


def test_it_trains_exports_tunes_and_verifies(demo):
    _, document, _ = demo
    assert document["float_accuracy"] > 0.93
    assert {a["name"] for a in document["artifacts"]} == {
        "model.tflite",
        "model-float32.tflite",
        "model.onnx",
        "model-float32.onnx",
    }
    for artifact in document["artifacts"]:
        assert artifact["accuracy"] > document["float_accuracy"] - 0.01
    for tuned in document["tuned"]:
        assert tuned["optdigits_after"] > max(0.9, tuned["optdigits_before"] + 0.1)
        assert tuned["digits_after"] > tuned["digits_before"] - 0.03
        assert tuned["bytes_after"] == tuned["bytes_before"]
    assert len(document["verify"]) == 6
    assert all(row["passed"] for row in document["verify"])
    assert len(document["bench"]) == 4


def test_the_report_is_one_page_that_asks_for_nothing_else(demo):
    out, _, _ = demo
    page = (out / "report.html").read_text()
    assert page.count("<svg") >= 6
    assert "data:image/png;base64," in page
    addresses = [a for a in re.findall(r"""(?:src|href)=["']([^"']+)""", page) if not a.startswith(("data:", "#"))]
    assert addresses == []
    assert "{{" not in page


def test_every_step_is_told(demo):
    *_, remarks = demo
    assert any("epoch" in line for line in remarks)
    assert any("without TensorFlow" in line for line in remarks)


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path, capsys):
    (tmp_path / "file").write_text("x")
    assert main(["demo", "--out", str(tmp_path / "file")]) == 2
    assert "a folder is wanted" in capsys.readouterr().err


def test_a_folder_with_somebodys_files_is_never_emptied(tmp_path):
    from edge_cnn.core.errors import InputError
    from edge_cnn.demo.device_environment import make_device_environment

    (tmp_path / "thesis.txt").write_text("dear")
    with pytest.raises(InputError, match="give a new folder"):
        make_device_environment(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "dear"


def test_an_environment_with_a_training_framework_is_no_device(tmp_path):
    import sys

    from edge_cnn.core.errors import DeviceUnavailableError
    from edge_cnn.demo.device_environment import make_device_environment

    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (tmp_path / "bin" / "python").chmod(0o755)
    with pytest.raises(DeviceUnavailableError, match="which a device has not"):
        make_device_environment(tmp_path)
