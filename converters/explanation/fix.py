"""What gives the accuracy back: the reference quantized anew, in ways that are made and measured."""

from __future__ import annotations

from collections.abc import Callable

from converters.calibration.samples import Calibration
from converters.explanation.accuracy import graph_accuracy, tflite_accuracy
from converters.explanation.chance import SIGNIFICANCE, within_chance
from converters.explanation.explanation import ExplainedLayer, Fix, Way, to_tell
from converters.explanation.mix import Mix, MixMaker
from converters.explanation.mix_search import MixSearch, Try
from converters.explanation.reading import float_groups
from converters.float_graph.float_graph import FloatGraph
from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.core.preprocessing import Preprocessing
from edge_cnn.host.training.inputs import model_inputs
from edge_cnn.verify.tolerance_check import SHARE_SLACK

WORDS: dict[str, str] = {
    "wrong preprocessing": "feed and calibrate the file with the reference's preprocessing (--input-range LO,HI)",
    "channel order (BGR for RGB)": "make the file from the reference again, with the channels in the reference's order",
    "class order": "make the file from the reference again, with the labels in the reference's order",
    "too few bits": "give this layer 8 bits",
    "dead channel": "make the file from the reference again",
    "mismatched weights": "make the file from the reference again, or give the reference that it was made from",
    "wrong bias": "make the file from the reference again; its biases are int32 of scale input x weights",
    "clipped weights": "make the file from the reference again, with weight scales that hold the largest weight",
    "saturated range": "calibrate with data like those of the test part",
    "outlier channel in weights": "give the weights a scale for each channel, or equalize the layers",
    "per-tensor weights": "give the weights a scale for each channel",
    "outlier channel in activations": "equalize the layers, or leave this one and its readers in float",
    "range too wide": "calibrate without the outlier, or with another --calibration-method (percentile, mse)",
    "tied scores": "leave the last layers in float",
    "coarse codes": "leave this layer in float, or train with quantization",
}
"""What to do about a cause."""


def propose_fix(
    graph: FloatGraph,
    layers: tuple[ExplainedLayer, ...],
    *,
    calibration: Calibration,
    held_out: LabelledImages,
    test: LabelledImages,
    preprocessing: Preprocessing,
    drop_before: float,
    float_accuracy: float,
    bound: float,
    on_try: Callable[[str], None] | None = None,
) -> Fix:
    """Find a way back within the bound: without layers in float if one is within it, or within chance of it.

    Args:
        graph: the reference.
        layers: explained, worst first.
        calibration: training samples.
        held_out: other training samples, which choose among the ways.
        test: what the effect is measured on; a way that loses beyond chance on it is not taken.
        preprocessing: of the reference.
        drop_before: of the quantized file on `test`.
        float_accuracy: of the reference on `test`.
        bound: largest drop that is fine.
        on_try: told what is made next.
    """
    faulty = [layer for layer in layers if layer.findings]
    words = tuple(dict.fromkeys(f"{layer.facts.short_name}: {WORDS[layer.cause]}" for layer in to_tell(faulty)))
    if not faulty and drop_before <= bound:
        return Fix(drop_before, drop_before, None, None, None, ("nothing is wrong",), ())
    search = MixSearch(
        MixMaker(graph, calibration),
        lambda data: tflite_accuracy(data, held_out, preprocessing),
        graph_accuracy(graph, model_inputs(held_out.images, preprocessing), held_out.labels),
        on_try,
    )

    def on_test(tried: Try) -> float:
        return float_accuracy - tflite_accuracy(search.data(tried.mix), test, preprocessing)

    def will_do(tried: Try, drop: float) -> bool:
        return within_chance(tried.drop, len(held_out), bound) and within_chance(drop, len(test), bound)

    def fix(way: Try, drop: float, said: str, free: Way | None = None, floats: Way | None = None) -> Fix:
        remarks = (said, *_by_chance(way, len(held_out), bound))
        return Fix(drop_before, drop, way, free, floats, (*words, *remarks), search.tries)

    plain = search.attempt(Mix())
    after = on_test(plain)
    mended = any(finding.mended_anew for layer in to_tell(faulty) for finding in layer.findings)
    if (mended or plain.drop <= bound + SHARE_SLACK) and will_do(plain, after):
        return fix(plain, after, "made anew from the reference it is right")
    if not within_chance(after, len(test), bound):
        search.reject(plain.mix)  # However well it does on the held-out samples.
    free = search.run(bound, None).chosen
    free_drop = after if free == plain else on_test(free)
    if not will_do(free, free_drop) and after <= free_drop:
        free, free_drop = plain, after
    excluded = search.exclude(Mix(), bound, float_groups(graph, [(x.facts.name, x.facts.op) for x in layers]))
    excluded_drop = on_test(excluded)
    floats = (excluded, excluded_drop) if excluded.mix.exclude else None
    if will_do(free, free_drop):
        return fix(free, free_drop, free.mix.describe(), (free, free_drop), floats)
    if excluded_drop > bound and free_drop < excluded_drop:
        return fix(free, free_drop, free.mix.describe(), (free, free_drop))
    return fix(excluded, excluded_drop, excluded.mix.describe(), (free, free_drop), floats)


def _by_chance(way: Try, samples: int, bound: float) -> tuple[str, ...]:
    """What to say of a way that is beyond the bound on the samples that chose it, and taken all the same."""
    if way.drop <= bound + SHARE_SLACK or not within_chance(way.drop, samples, bound):
        return ()
    return (
        f"its drop of {way.drop:.2%} on {samples} held-out samples is within chance of {bound:.2%} "
        f"(one-sided binomial test at {SIGNIFICANCE:.0%})",
    )
