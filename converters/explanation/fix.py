"""What gives the accuracy back: the reference quantized anew, in ways that are made and measured."""

from __future__ import annotations

from collections.abc import Callable

from converters.calibration.samples import Calibration
from converters.explanation.accuracy import graph_accuracy, tflite_accuracy
from converters.explanation.explanation import ExplainedLayer, Fix, to_tell
from converters.explanation.mix import Mix, MixMaker
from converters.explanation.mix_search import MixSearch, Try
from converters.explanation.reading import float_groups
from converters.float_graph.float_graph import FloatGraph
from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.core.preprocessing import Preprocessing
from edge_cnn.host.training_input import model_inputs

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
    """Find a way back within the bound.

    Args:
        graph: the reference.
        layers: explained, worst first.
        calibration: training samples.
        held_out: other training samples, which choose among the ways.
        test: what the effect is measured on; no choice sees it.
        preprocessing: of the reference.
        drop_before: of the quantized file on `test`.
        float_accuracy: of the reference on `test`.
        bound: largest drop that is fine.
        on_try: told what is made next.
    """
    faulty = [layer for layer in layers if layer.findings]
    words = tuple(dict.fromkeys(f"{layer.facts.short_name}: {WORDS[layer.cause]}" for layer in to_tell(faulty)))
    if not faulty and drop_before <= bound:
        return Fix((), drop_before, drop_before, None, None, ("nothing is wrong",), ())
    search = MixSearch(
        MixMaker(graph, calibration),
        lambda data: tflite_accuracy(data, held_out, preprocessing),
        graph_accuracy(graph, model_inputs(held_out.images, preprocessing), held_out.labels),
        on_try,
    )

    def on_test(tried: Try) -> float:
        return float_accuracy - tflite_accuracy(search.data(tried.mix), test, preprocessing)

    groups = float_groups(graph, [(layer.facts.name, layer.facts.op) for layer in layers])
    plain = search.attempt(Mix())
    after = on_test(plain)
    if after <= bound and plain.drop <= bound:
        return Fix(
            (), drop_before, after, plain, None, (*words, "made anew from the reference it is right"), search.tries
        )
    excluded = search.exclude(Mix(), bound, groups)
    free = search.run(bound, None).chosen
    free_drop = on_test(free)
    excluded_drop = on_test(excluded)
    alternative = (free, free_drop) if free.mix != plain.mix and free_drop < after else None
    if excluded_drop > bound and free_drop < excluded_drop:
        return Fix((), drop_before, free_drop, free, alternative, (*words, free.mix.describe()), search.tries)
    return Fix(
        excluded.mix.exclude,
        drop_before,
        excluded_drop,
        excluded,
        alternative,
        (*words, excluded.mix.describe()),
        search.tries,
    )
