from __future__ import annotations

import pytest

from converters.schemes.plan import plan_artifacts
from converters.schemes.table import schemes_of
from edge_cnn.core.bundle import is_artifact_name
from edge_cnn.core.errors import InputError
from edge_cnn.core.targets import TARGETS


def names(targets: list[str], schemes: list[str] | None = None) -> dict[str, list[str]]:
    return {p.name: [t.name for t in p.targets] for p in plan_artifacts(targets, schemes or [])}


def test_targets_with_the_same_recipe_share_one_file() -> None:
    assert names(["rpi4", "rpi5"]) == {"model.tflite": ["rpi4", "rpi5"]}


def test_the_first_of_a_format_has_the_short_name() -> None:
    assert list(names(["rpi5", "jetson-orin"], ["int8", "float32"])) == [
        "model.tflite",
        "model-float32.tflite",
        "model.onnx",
        "model-float32.onnx",
    ]


def test_two_kinds_of_onnx_int8_get_two_names() -> None:
    assert names(["rpi5-onnx", "jetson-orin"]) == {
        "model.onnx": ["rpi5-onnx"],
        "model-int8-symmetric.onnx": ["jetson-orin"],
    }


def test_float_files_are_shared_whether_or_not_activations_are_symmetric() -> None:
    assert names(["rpi5-onnx", "jetson-orin"], ["float32"]) == {"model.onnx": ["rpi5-onnx", "jetson-orin"]}


def test_every_target_in_every_scheme_has_a_distinct_name_that_a_bundle_takes() -> None:
    for target in TARGETS.values():
        planned = plan_artifacts([target.name], schemes_of(target))
        assert all(is_artifact_name(p.name) for p in planned)
        assert len({p.name for p in planned}) == len(planned) == len(schemes_of(target))


def test_repeated_arguments_count_once() -> None:
    assert names(["rpi5", "rpi5"], ["int8", "int8"]) == {"model.tflite": ["rpi5"]}


@pytest.mark.parametrize(
    ("targets", "schemes", "message"),
    [
        (["rpi6"], [], "unknown target 'rpi6'; known: .*rpi5"),
        (["rpi5"], ["int4"], "target 'rpi5' does not take scheme 'int4'; it takes int8, float32"),
        ([], [], "no target given"),
    ],
)
def test_wrong_plans_say_what_is_known(targets: list[str], schemes: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        plan_artifacts(targets, schemes)
