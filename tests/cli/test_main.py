import subprocess
import sys

import pytest

from edge_cnn.cli.main import COMMANDS, edge_cnn, main


def test_every_listed_command_is_there_and_explains_itself(capsys):
    for name in COMMANDS:
        assert main([name, "--help"]) == 0
        text = capsys.readouterr().out
        assert "Usage: edge-cnn" in text
        for option in ("--json", "--seed", "--quiet"):
            assert option in text, (name, option)


def test_help_lists_every_command(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in COMMANDS)


def test_no_arguments_show_the_help_and_exit_with_2(capsys):
    assert main([]) == 2
    assert "Usage: edge-cnn" in capsys.readouterr().err


def test_an_unknown_command_is_one_line(capsys):
    assert main(["rnu"]) == 2
    assert capsys.readouterr().err.startswith("error: No such command 'rnu'")


def test_ctrl_c_is_one_line_and_status_130(capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(edge_cnn, "main", interrupted)
    assert main(["targets"]) == 130
    assert capsys.readouterr().err == "error: interrupted\n"


def test_a_defect_is_one_line_and_a_traceback_only_with_debug(capsys, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(edge_cnn, "main", broken)
    assert main(["targets"]) == 2
    assert capsys.readouterr().err == "error: internal error: ZeroDivisionError: oh; run again with --debug\n"
    main(["targets", "--debug"])
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("code", ["import edge_cnn", "import edge_cnn.cli.run_command, edge_cnn.cli.finetune_command"])
def test_the_device_side_imports_no_training_framework(code):
    probe = (
        f"import sys; {code}; "
        "print([m for m in ('tensorflow', 'keras', 'scipy', 'sklearn', 'onnx', 'matplotlib') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_import_edge_cnn_loads_no_runtime_and_no_image_library():
    probe = "import sys, edge_cnn; print([m for m in ('ai_edge_litert', 'onnxruntime', 'PIL') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout == "[]\n"
