from __future__ import annotations

import pytest

from converters.explanation.max_drop import DropSearch
from converters.explanation.mix import Mix
from converters.explanation.mix_search import Try, describe_try
from converters.improvement.advice import what_helps
from converters.improvement.improver import Improvement
from converters.schemes.plan import plan_artifacts


@pytest.mark.parametrize(
    ("target", "scheme", "done", "searched", "said"),
    [
        (
            "rpi5",
            "int4-weights",
            Improvement(),
            False,
            "--qat EPOCHS, or --equalize --correct-bias, or --scheme float16",
        ),
        ("rpi5", "int8", Improvement(), True, "--qat EPOCHS --equalize --correct-bias, or --scheme float16, or train"),
        ("rpi5", "int8", Improvement(equalize=True, correct_bias=True), False, "try --qat EPOCHS, or --scheme float16"),
        ("ethos-u55", "int8", Improvement(), False, "try --qat EPOCHS, or --equalize --correct-bias, or train longer"),
        ("rpi5", "int16x8", Improvement(), False, "try --equalize, or --scheme float16, or train longer"),
    ],
)
def test_what_was_not_done_and_the_target_takes_is_named(target, scheme, done, searched, said):
    (plan,) = plan_artifacts((target,), (scheme,))
    assert said in what_helps(plan, done, searched=searched)


def test_figures_of_a_search_say_which_samples_they_are_of():
    tries = tuple(Try(Mix(exclude=("a",) * n), 1234, 0.9, drop, 0.25 * n) for n, drop in enumerate((0.3, 0.04)))
    said = DropSearch(None, tries, 500, 1, 0.055, True).told()
    assert "the best of 2 ways drops 4.00% on 500 training samples that did not calibrate" in said
    assert "on the test part the 1 best of them drop 5.50% or more" in said
    assert "test part" not in DropSearch(None, tries, 500, 0, 0.3, True).told()
    assert DropSearch(None, (), 0, 0, 0.3, True).told() == ""
    assert describe_try(tries[0].to_json()) == "percentile ranges: drop 30.00%, 1,234 bytes"
    assert describe_try(tries[1].to_json()).endswith("1,234 bytes, 25% of the multiplications in float")
