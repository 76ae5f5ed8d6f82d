"""`edge-cnn explain`: which layer costs the accuracy, why, and the fix."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_cnn.cli.console import PATH, Console, common_options, table
from edge_cnn.cli.model_options import INPUT_RANGE
from edge_cnn.cli.noted_data import load_noted
from edge_cnn.cli.output_path import check_page

if TYPE_CHECKING:
    from converters.explanation.explanation import ExplainedLayer, Explanation, Fix


@click.command()
@click.argument("model", type=PATH)
@click.option(
    "--reference",
    type=PATH,
    required=True,
    help="The float model it was made from: .keras, .h5, SavedModel, float .tflite or .onnx.",
)
@click.option("--data", required=True, help="DATA: its test part measures, its training part calibrates the fix.")
@click.option("--artifact", help="Which model file of a bundle; default: its first quantized one.")
@click.option("--samples", type=click.IntRange(20), default=500, show_default=True, help="To measure the layers on.")
@click.option(
    "--max-drop",
    type=click.FloatRange(0, 1),
    default=0.01,
    show_default=True,
    help="Share of accuracy that may be lost; beyond it a fix is looked for.",
)
@click.option("--no-fix", is_flag=True, help="Name the causes only; takes a fraction of the time.")
@click.option("--report", type=PATH, metavar="FILE.html", help="Write a page: SQNR, damage and ranges of the layers.")
@INPUT_RANGE
@common_options
def command(
    console: Console,
    model: Path,
    reference: Path,
    data: str,
    artifact: str | None,
    samples: int,
    max_drop: float,
    no_fix: bool,
    report: Path | None,
    input_range: tuple[float, float] | None,
) -> int:
    """Compare MODEL, a quantized bundle, .tflite or QDQ .onnx, layer by layer with the float model it was made from.

    Each layer is measured in the running file and alone, with everything else in float; causes are named with their
    figures, worst layer first, and a fix is made and measured.
    """
    check_page(report, {"MODEL": model, "--reference": reference, "--data": data})

    from converters.explanation.models import read_quantized, read_reference

    quantized = read_quantized(model, artifact)
    float_model = read_reference(reference)

    # After the models, whose loading says in one line if TensorFlow and what comes with it are not installed.
    from converters.explanation.correspondence import correspond
    from converters.explanation.explain import ExplainConfig, explain, reference_preprocessing

    correspond(float_model.graph, quantized.model)  # Before the data, which may take long to read.
    dataset, skipped = load_noted(console, data, float_model.image_shape, float_model.labels)
    preprocessing, origin = reference_preprocessing(float_model, quantized, input_range, dataset.test)
    console.note(f"{reference.name}; input {preprocessing.describe()} (from {origin})")
    config = ExplainConfig(console.seed, samples, bound=max_drop, fix=not no_fix)
    steps = itertools.count()
    with console.steps("explain") as draw:

        def on_step(step: str) -> None:
            done = next(steps)
            draw(done, 2 if no_fix else None, step)  # How many ways are tried is learned on the way.

        found = explain(
            float_model,
            quantized,
            dataset.train,
            dataset.test,
            config,
            preprocessing=preprocessing,
            on_step=on_step,
        )
    if found.at_chance:
        console.note(
            f"the reference itself gets {found.float_accuracy:.2%} right, as guessing does: "
            "check DATA, the order of its classes and --input-range"
        )
    if report is not None:
        from converters.explanation.report_page import explanation_html
        from edge_cnn.core.atomic_file import write_atomically

        page = explanation_html(found, quantized.artifact.name, reference.name)
        write_atomically(report, page.encode(errors="backslashreplace"))
        console.note(f"report: {report}")
    console.result(found.to_json() | {"preprocessing": preprocessing.to_json(), "skipped": skipped}, _summary(found))
    return 0


def _summary(found: Explanation) -> str:
    lines = [
        table(["layer", "op", "SQNR dB", "alone dB", "flips", "drop", "cause"], [_row(x) for x in found.layers]),
        f"layers told by {'name' if found.by_name else 'weights and order, as their names differ'}; "
        f"SQNR, flips and drop on {found.samples} samples, flips and drop with this layer alone in codes",
        f"float model {found.float_accuracy:.2%}, quantized {found.quantized_accuracy:.2%} of {found.test_samples} "
        f"test samples; the same answer to {found.agreement:.2%}",
        "",
    ]
    if not found.faulty:
        lines.append("every layer is at the noise floor of its codes: nothing is wrong")
    for layer in found.told:
        lines += [f"{layer.facts.short_name}: {f.name}: {f.sentence.lower()}: {f.evidence}" for f in layer.findings[:1]]
    if found.fix is not None:
        lines += ["", *(f"fix: {words}" for words in found.fix.words)]
        lines += _ways(found.fix)
    return "\n".join(lines)


def _ways(fix: Fix) -> list[str]:
    """The fix's effect, and the other way to it, with layers in float or without."""
    lines = [f"drop {fix.drop_before:.2%} before, {fix.drop_after:.2%} after"]
    if fix.floats is not None:
        tried, drop = fix.floats
        options = " ".join(f"--exclude '{name.split(';')[0]}'" for name in tried.mix.exclude)
        if tried == fix.chosen:
            lines.insert(0, f"fix: edge-cnn export {options} ...")
        else:
            lines.append(f"with float layers: edge-cnn export {options} ..., drop {drop:.2%}")
    if fix.free is not None and fix.free[0] != fix.chosen:
        tried, drop = fix.free
        lines.append(f"without float layers: {tried.mix.describe()}, drop {drop:.2%}")
    return lines


def _row(layer: ExplainedLayer) -> list[str]:
    facts = layer.facts
    return [
        facts.short_name,
        facts.op,
        f"{facts.sqnr_db:.1f}",
        f"{facts.alone.sqnr_db:.1f}",
        f"{facts.damage.flips:.1%}",
        f"{facts.damage.drop:+.1%}",
        layer.cause,
    ]
