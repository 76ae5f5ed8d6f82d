from __future__ import annotations

from dataclasses import replace

import pytest

from converters.preflight import check_preflight, preflight
from edge_cnn.core.artifact import Artifact
from edge_cnn.core.errors import ConstraintError, InputError
from edge_cnn.core.targets import TARGETS, find_target
from edge_cnn.device.runtimes.release import parse_release
from tests.device.tflite_oracle import changed


def with_conv_version(artifact: Artifact, version: int) -> Artifact:
    def change(model: object) -> None:
        for code in model.operatorCodes:  # type: ignore[attr-defined]  # the schema's classes have no types
            if code.builtinCode == 3:
                code.version = version

    return changed(artifact, change)


def test_every_runtime_of_every_target_is_a_release_that_is_known() -> None:
    for target in TARGETS.values():
        assert target.runtimes
        assert all(parse_release(name).format == target.format for name in target.runtimes)


def test_the_exported_files_run_on_every_runtime_of_their_targets(artifacts: dict[str, Artifact]) -> None:
    for artifact in artifacts.values():
        for target in TARGETS.values():
            if target.format == artifact.format:
                assert not any(preflight(artifact, [target]).values()), target.name


def test_each_runtime_is_asked_once_and_those_for_other_formats_not_at_all(artifacts: dict[str, Artifact]) -> None:
    targets = [find_target("rpi4"), find_target("rpi5")]
    found = preflight(artifacts["int8.tflite"], targets, ["litert", "onnxruntime==1.11", "tflite-runtime==2.7.0"])
    assert list(found) == ["litert", "tflite-runtime==2.14.0", "tflite-runtime==2.7.0"]


def test_a_target_needs_one_runtime_that_takes_the_file(artifacts: dict[str, Artifact]) -> None:
    newer = with_conv_version(artifacts["int8.tflite"], 8)
    check_preflight(newer, [find_target("rpi5")])  # LiteRT has it.
    with pytest.raises(
        ConstraintError, match=r"runs on no runtime of rpi3-armhf .*CONV_2D version 8.*has versions 1 to 7"
    ):
        check_preflight(newer, [find_target("rpi5"), find_target("rpi3-armhf")])


def test_a_runtime_that_is_named_must_take_the_file(artifacts: dict[str, Artifact]) -> None:
    check_preflight(artifacts["int8.tflite"], [find_target("rpi5")], ["tflite-runtime==2.13.0"])
    newer = with_conv_version(artifacts["int8.tflite"], 7)
    with pytest.raises(ConstraintError, match=r"does not run on tflite-runtime==2.11.0: CONV_2D version 7"):
        check_preflight(newer, [find_target("rpi5")], ["tflite-runtime==2.11.0"])


def test_an_unknown_runtime_in_a_row_is_told(artifacts: dict[str, Artifact]) -> None:
    odd = replace(find_target("rpi5"), runtimes=("tvm",))
    with pytest.raises(InputError, match="unknown runtime 'tvm'"):
        preflight(artifacts["int8.tflite"], [odd])
