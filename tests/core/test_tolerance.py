import pytest

from edge_cnn.core.tolerance import (
    INT4,
    INT16,
    INTEGER,
    INTEGERS,
    KERNEL_FAMILIES,
    Tolerance,
    computes_of,
    default_tolerances,
    tolerance_of,
)

INT8 = default_tolerances("tflite", quantized=True, recorded_by="litert-ref")
FLOAT = default_tolerances("tflite", quantized=False, recorded_by="litert-ref")


def older(tolerances, *families):
    """What a manifest holds that was written before there were other families."""
    return {family: tolerances[family] for family in families}


def test_every_family_has_a_tolerance_with_its_reason_in_one_format():
    for quantized in (True, False):
        known = {
            **default_tolerances("tflite", quantized=quantized, recorded_by="litert-ref"),
            **default_tolerances("onnx", quantized=quantized, recorded_by="ort-cpu"),
        }
        assert set(known) == set(KERNEL_FAMILIES)
        assert all(len(tolerance.reason) > 20 for tolerance in known.values())
        assert all((tolerance.max_lsb is not None) == quantized for tolerance in known.values())


def test_only_the_family_that_recorded_must_repeat_it_bit_for_bit():
    assert [family for family, tolerance in INT8.items() if tolerance.max_lsb == 0] == ["litert-ref"]


def test_kernels_of_the_same_specification_get_less_room_than_others():
    for family in ("tflm", "tosa-ref"):
        assert 0 < INT8[family].max_lsb < INT8["xnnpack"].max_lsb
        assert INT8[family].min_top1_agreement > INT8["xnnpack"].min_top1_agreement
    # What another interpreter recorded says nothing about these.
    other = default_tolerances("tflite", quantized=True, recorded_by="tflite-runtime-ref")
    assert other["tflm"] == other["xnnpack"]


@pytest.mark.parametrize("tolerances", [INT8, FLOAT], ids=["int8", "float32"])
def test_a_bundle_written_before_a_family_was_known_gets_its_default(tolerances):
    written = older(tolerances, "litert-ref", "tflite-runtime-ref", "xnnpack", "tflite-builtin")
    for family in ("tflm", "tosa-ref"):
        assert tolerance_of(family, written, "tflite") == tolerances[family]


def test_which_family_recorded_an_older_bundle_is_told_by_its_tolerances():
    recorded = default_tolerances("tflite", quantized=True, recorded_by="tflite-runtime-ref")
    written = older(recorded, "litert-ref", "tflite-runtime-ref", "xnnpack")
    assert tolerance_of("tflm", written, "tflite") == recorded["tflm"]


def test_an_older_onnx_bundle_gets_the_defaults_of_accelerators():
    for quantized in (True, False):
        defaults = default_tolerances("onnx", quantized=quantized, recorded_by="ort-cpu")
        assert tolerance_of("ort-qnn", older(defaults, "ort-cpu"), "onnx") == defaults["ort-qnn"]


def test_what_the_manifest_says_counts():
    assert tolerance_of("tflm", {"tflm": INT8["xnnpack"]}, "tflite") is INT8["xnnpack"]


@pytest.mark.parametrize(
    ("family", "written", "format"),
    [("quantum", INT8, "tflite"), ("ort-cuda", INT8, "tflite"), ("tflm", {}, "tflite")],
    ids=["unknown family", "family of another format", "a manifest without any"],
)
def test_nothing_is_made_up_for_what_nobody_knows(family, written, format):
    assert tolerance_of(family, written, format) is None


@pytest.mark.parametrize("computes", INTEGERS)
def test_what_logits_come_from_is_told_by_the_tolerances_after_a_round_trip(computes):
    made = default_tolerances("tflite", quantized=True, recorded_by="litert-ref", computes=computes)
    written = {family: Tolerance.from_json(tolerance.to_json()) for family, tolerance in made.items()}
    assert computes_of(written) == computes
    # So a family that is new to an old bundle is held to the bounds of its scheme.
    assert tolerance_of("tflm", older(written, "litert-ref", "xnnpack"), "tflite") == made["tflm"]


def test_exact_kernels_are_exact_in_every_integer_scheme_and_no_bound_is_without_its_own_reason():
    kinds = [default_tolerances("tflite", quantized=True, recorded_by="litert-ref", computes=c) for c in INTEGERS]
    assert all(kind["litert-ref"].max_lsb == 0 for kind in kinds)
    assert len({kind["xnnpack"].reason for kind in kinds}) == len({kind["tflm"].reason for kind in kinds}) == 3


def test_steps_of_16_bits_may_be_more_and_are_finer_still():
    by_kind = {
        c: default_tolerances("tflite", quantized=True, recorded_by="litert-ref", computes=c)["xnnpack"]
        for c in (INTEGER, INT16, INT4)
    }
    # 256 steps of int16 are one of int8.
    assert by_kind[INTEGER].max_lsb < by_kind[INT16].max_lsb < 256
    assert by_kind[INT16].min_top1_agreement > by_kind[INTEGER].min_top1_agreement > by_kind[INT4].min_top1_agreement
