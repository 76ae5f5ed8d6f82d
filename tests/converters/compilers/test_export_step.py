"""Where compilers stand in an export, with compilers that are a function."""

from __future__ import annotations

import fcntl
import json
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from converters.compilers.compiler import Compiled, CpuOperator
from converters.compilers.export_step import CompileConfig, check_compiling, write_export
from converters.compilers.table import COMPILERS
from edge_cnn.core.artifact import Artifact
from edge_cnn.core.bundle import Bundle, read_bundle
from edge_cnn.core.errors import CompilerError, CompilerMissingError, ConstraintError, InputError
from edge_cnn.core.targets import TARGETS, Target
from tests.converters.compilers.conftest import no_step, target

SOFTMAX = CpuOperator("SOFTMAX", "too soft", "scores")


@dataclass(frozen=True)
class PlayedReport:
    cpu_operators: tuple[CpuOperator, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {"cycles": 7}

    def summary(self) -> str:
        return "7 cycles"

    def notes(self) -> tuple[str, ...]:
        return tuple(operator.describe() for operator in self.cpu_operators)


@dataclass(frozen=True)
class Played:
    """A compiler that writes the options and the size of what it gets."""

    error: BaseException | None = None
    report: PlayedReport = PlayedReport()

    def check(self) -> None:
        if isinstance(self.error, CompilerMissingError):
            raise self.error

    def compile(self, artifact: Artifact, target: Target, folder: Path, on_step: Callable[..., Any]) -> Compiled:
        on_step(0, 1, "making ready")
        name = f"{artifact.name}.bin"
        (folder / name).write_text(f"{target.compiler_options} {len(artifact.data)}")
        if self.error is not None:
            raise self.error
        return Compiled((name,), self.report)


@pytest.fixture(autouse=True)
def rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two targets with a compiler."""
    for name in ("chip-a", "chip-b"):
        monkeypatch.setitem(TARGETS, name, target(name, "-O2", name=name))
    monkeypatch.setitem(COMPILERS, "chip-a", Played())
    monkeypatch.setitem(COMPILERS, "chip-b", Played(report=PlayedReport((SOFTMAX,))))


@pytest.fixture
def made(bundle: Bundle) -> Bundle:
    """A bundle whose int8 .tflite is for both chips and rpi5, its float32 .tflite for chip-a."""
    users = {"model.tflite": ("chip-a", "rpi5", "chip-b"), "model-float32.tflite": ("chip-a",)}
    entries = [replace(entry, targets=users.get(entry.name, ("jetson-orin",))) for entry in bundle.manifest.artifacts]
    return Bundle(bundle.manifest.with_artifacts(*entries), bundle.artifacts, bundle.golden, bundle.replay)


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def fails(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    monkeypatch.setitem(COMPILERS, "chip-b", Played(error))


def test_every_row_of_the_targets_names_a_compiler_that_there_is() -> None:
    assert {row.compiler for row in TARGETS.values()} - {""} <= set(COMPILERS)


def test_each_target_gets_a_folder_with_its_files_and_the_report(made: Bundle, tmp_path: Path) -> None:
    steps: list[Any] = []
    written = write_export(made, tmp_path / "m.edgecnn", CompileConfig(), lambda *step: steps.append(step))
    assert names(tmp_path) == [
        "m.chip-a/model-float32.tflite.bin",
        "m.chip-a/model.tflite.bin",
        "m.chip-a/report.json",
        "m.chip-b/model.tflite.bin",
        "m.chip-b/report.json",
        "m.edgecnn",
    ]
    assert (tmp_path / "m.chip-b/model.tflite.bin").read_text() == f"('-O2',) {len(made.artifact('model.tflite').data)}"
    document = json.loads((tmp_path / "m.chip-b/report.json").read_text())
    assert document["files"] == ["model.tflite.bin"]
    assert document["compiled"] == [one.to_json() for one in written.compiled if one.target.name == "chip-b"]
    assert [step[:2] for step in steps] == [(0, 3), (0, 1), (1, 3), (0, 1), (2, 3), (0, 1)]
    assert (1, 3, "model.tflite for chip-b with chip-b") in steps
    assert written.notes == ("model.tflite for chip-b: SOFTMAX 'scores': too soft",)


def test_the_manifest_tells_of_every_compilation(made: Bundle, tmp_path: Path) -> None:
    write_export(made, tmp_path / "m.edgecnn", CompileConfig(), no_step)
    told = read_bundle(tmp_path / "m.edgecnn").manifest.provenance["compiled"]
    assert [(row["target"], row["artifact"], row["report"]) for row in told] == [
        ("chip-a", "model.tflite", {"cycles": 7}),
        ("chip-b", "model.tflite", {"cycles": 7}),
        ("chip-a", "model-float32.tflite", {"cycles": 7}),
    ]
    assert {row["sha256"] for row in told} == {made.artifact(row["artifact"]).sha256 for row in told}


def test_the_bundle_is_the_same_bytes_wherever_it_is_written(made: Bundle, tmp_path: Path) -> None:
    places = [tmp_path / "here" / "m.edgecnn", tmp_path / "elsewhere" / "other.edgecnn"]
    for place in places:
        place.parent.mkdir()
        write_export(made, place, CompileConfig(), no_step)
    assert places[0].read_bytes() == places[1].read_bytes()


def test_without_compilers_the_bundle_is_what_it_was(made: Bundle, tmp_path: Path) -> None:
    written = write_export(made, tmp_path / "m.edgecnn", CompileConfig(wanted=False), no_step)
    assert (tmp_path / "m.edgecnn").read_bytes() == made.to_bytes()
    assert names(tmp_path) == ["m.edgecnn"]
    assert (written.compiled, written.notes) == ((), ())


def test_more_words_follow_those_of_the_row_for_their_target_alone(made: Bundle, tmp_path: Path) -> None:
    config = CompileConfig(options={"chip-b": ("-x", "1")})
    written = write_export(made, tmp_path / "m.edgecnn", config, no_step)
    assert [one.target.compiler_options for one in written.compiled] == [("-O2",), ("-O2", "-x", "1"), ("-O2",)]


def test_a_missing_compiler_is_a_remark_and_the_others_compile(
    made: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails(monkeypatch, CompilerMissingError("chipc is not on PATH; install it"))
    written = write_export(made, tmp_path / "m.edgecnn", CompileConfig(), no_step)
    assert written.notes == ("not compiled for chip-b: chipc is not on PATH; install it",)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["m.chip-a", "m.edgecnn"]
    assert {row["target"] for row in read_bundle(tmp_path / "m.edgecnn").manifest.provenance["compiled"]} == {"chip-a"}


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (CompilerMissingError("chipc is not on PATH; install it"), True),
        (CompilerError("chipc ended with SIGSEGV"), None),
        (ConstraintError("too large"), None),
        (OSError(28, "No space left on device", "there"), None),
        (KeyboardInterrupt(), None),
    ],
)
def test_what_fails_leaves_what_was_there_before(
    made: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, wanted: bool | None
) -> None:
    out = tmp_path / "m.edgecnn"
    write_export(made, out, CompileConfig(), no_step)
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    fails(monkeypatch, error)
    with pytest.raises(InputError if isinstance(error, OSError) else type(error)):
        write_export(made, out, CompileConfig(wanted), no_step)
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == before


def test_an_operator_on_the_cpu_is_an_error_where_it_may_not_be(made: Bundle, tmp_path: Path) -> None:
    with pytest.raises(ConstraintError, match=r"chip-b: on the CPU: SOFTMAX 'scores': too soft; change"):
        write_export(made, tmp_path / "m.edgecnn", CompileConfig(accelerator_only=True), no_step)
    assert list(tmp_path.iterdir()) == []


def test_a_second_export_replaces_the_folders_of_the_first(
    made: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "m.edgecnn"
    write_export(made, out, CompileConfig(options={"chip-a": ("first",)}), no_step)
    (tmp_path / "m.chip-a" / "model-float32.tflite.bin").unlink()
    write_export(made, out, CompileConfig(options={"chip-a": ("second",)}), no_step)
    assert "second" in (tmp_path / "m.chip-a" / "model.tflite.bin").read_text()
    assert "second" in (tmp_path / "m.chip-a" / "model-float32.tflite.bin").read_text()
    fails(monkeypatch, CompilerMissingError("gone"))
    written = write_export(made, out, CompileConfig(), no_step)
    assert written.notes == ("not compiled for chip-b: gone", f"{tmp_path / 'm.chip-b'} is of an earlier export")


@pytest.mark.parametrize("kind", ["file", "own folder", "link", "added"])
def test_files_of_the_users_own_are_never_replaced(made: Bundle, tmp_path: Path, kind: str) -> None:
    out, folder = tmp_path / "m.edgecnn", tmp_path / "m.chip-b"
    if kind == "file":
        folder.write_text("mine")
    elif kind == "own folder":
        folder.mkdir()
        (folder / "main.cc").write_text("mine")
    elif kind == "link":
        (tmp_path / "elsewhere").mkdir()
        folder.symlink_to(tmp_path / "elsewhere")
    else:
        write_export(made, out, CompileConfig(), no_step)
        (folder / "main.cc").write_text("mine")
    before = names(tmp_path)
    told = r"m\.chip-b would be replaced, and no export made (main\.cc|m\.chip-b) there; move it away"
    with pytest.raises(InputError, match=told):
        check_compiling(["chip-b"], out, CompileConfig())
    with pytest.raises(InputError, match=told):
        write_export(made, out, CompileConfig(), no_step)
    assert names(tmp_path) == before


def test_a_folder_that_cannot_be_looked_at_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: Path) -> Any:
        raise PermissionError(13, "Permission denied", str(folder))

    (tmp_path / "m.chip-b").mkdir()
    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(InputError, match=r"cannot look into .*m\.chip-b: Permission denied; give another --out"):
        check_compiling(["chip-b"], tmp_path / "m.edgecnn", CompileConfig())


def test_an_empty_folder_is_nobodys(made: Bundle, tmp_path: Path) -> None:
    (tmp_path / "m.chip-b").mkdir()
    write_export(made, tmp_path / "m.edgecnn", CompileConfig(), no_step)
    assert names(tmp_path / "m.chip-b") == ["model.tflite.bin", "report.json"]


def test_what_a_killed_export_left_is_removed_and_a_living_one_is_spared(made: Bundle, tmp_path: Path) -> None:
    dead, living = tmp_path / ".m-compiled-dead", tmp_path / ".m-compiled-living"
    for folder in (dead, living):
        folder.mkdir()
        (folder / "file").write_text("half")
    handle = os.open(living, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        write_export(made, tmp_path / "m.edgecnn", CompileConfig(), no_step)
    finally:
        os.close(handle)
    assert not dead.exists()
    assert names(living) == ["file"]


def test_a_compiler_that_is_demanded_and_missing_is_told_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails(monkeypatch, CompilerMissingError("chipc is not on PATH; install it"))
    check_compiling(["chip-b"], tmp_path / "m.edgecnn", CompileConfig())
    with pytest.raises(CompilerMissingError, match="chipc is not on PATH"):
        check_compiling(["chip-b"], tmp_path / "m.edgecnn", CompileConfig(True))


@pytest.mark.parametrize("name", ["vela", "tflm"])
def test_an_environment_without_wheels_is_missing_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("EDGE_CNN_CACHE", str(tmp_path))
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(CompilerMissingError, match=r"cannot be made ready: there are no wheels for .* on riscv64; "):
        COMPILERS[name].check()
    assert list(tmp_path.iterdir()) == []


def test_only_targets_with_a_compiler_are_compiled_for(tmp_path: Path) -> None:
    out = tmp_path / "m.edgecnn"
    assert check_compiling(["rpi5", "chip-a"], out, CompileConfig(True)) == ("chip-a",)
    assert check_compiling(["rpi5", "chip-a"], out, CompileConfig(False)) == ()
    with pytest.raises(InputError, match="--compile: rpi5 have no compiler; see 'edge-cnn targets'"):
        check_compiling(["rpi5"], out, CompileConfig(True))
    with pytest.raises(InputError, match=r"--compiler-option chip-b: that is no target .*; there are chip-a"):
        check_compiling(["rpi5", "chip-a"], out, CompileConfig(options={"chip-b": ("-x",)}))
