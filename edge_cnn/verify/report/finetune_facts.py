"""The words of a fine-tuning: what its certificate says, and all that redoes it."""

from __future__ import annotations

import platform
from html import escape

import numpy as np

from edge_cnn import __version__
from edge_cnn.device.finetuning.result import FinetuneResult
from edge_cnn.device.machine import describe_machine
from edge_cnn.verify.report.finetune_figures import percent

USELESS_GAP = 1.0
"""Nats; a bound on the loss that is larger says nothing."""


def certificate_words(result: FinetuneResult) -> str:
    """HTML: the two bounds with what they mean here."""
    bound, error = result.certificate.loss_gap_bound, result.certificate.max_logit_error
    return f"<p>{_loss_gap(result, bound)}</p><p>{_logit_error(result, error)}</p>"


def settings_list(result: FinetuneResult, name: str, data: str) -> str:
    """HTML of names and values: with them and the same samples, the same head comes out.

    Args:
        result: of the run.
        name: of the file that was tuned.
        data: where the samples came from, as the user named it; empty where nobody did.
    """
    classifier, told, order = result.classifier, result.provenance, result.order
    runtime, machine = classifier.runtime, describe_machine()
    source = (
        f"{classifier.preprocessing.describe()} ({classifier.preprocessing_source})"
        if classifier.preprocessing
        else "none"
    )
    names = {"passes": "passes at most", "memory": "memory, bytes"}
    settings = {
        names.get(key, key.replace("_", " ")): "none" if v is None else str(v)
        for key, v in result.optimizer.items()
        if key != "name"
    }
    pairs = {
        "model": name,
        "artifact": classifier.artifact.name,
        "SHA-256 before": str(told["base_sha256"]),
        "SHA-256 after": classifier.artifact.sha256,
        "classes": str(len(classifier.labels)),
        "samples": f"{told['samples']}{f' from {data}' if data else ''}",
        "SHA-256 of the samples": str(told["samples_sha256"]),
        "held out": f"{len(order['holdout'])} of them (share {told['holdout']})",
        "old samples held out": str(result.replay_held_out),
        "seed": f"{result.seed} ({order['generator']})",
        "optimizer": str(result.optimizer["name"]),
        **settings,
        "passes made": f"{len(result.history)}, pass {result.chosen_pass} chosen; ended: {result.ended}",
        "gradient steps": str(result.steps),
        "preprocessing": source,
        "runtime": f"{runtime.name} {runtime.version}, {runtime.kernels().family} kernels",
        "threads": str(classifier.threads),
        "machine": str(machine["cpu"] or platform.machine()),
        "Python, numpy": f"{platform.python_version()}, {np.__version__}",
        "edge_cnn": __version__,
    }
    rows = "".join(f"<dt>{escape(key)}</dt><dd>{escape(value)}</dd>" for key, value in pairs.items())
    return f"<dl>{rows}</dl>"


def _loss_gap(result: FinetuneResult, bound: float) -> str:
    term = "<code>loss_gap_bound</code>"
    if bound >= USELESS_GAP:
        return (
            f"{term} is {bound:.3g} nats, which says nothing of use here: it bounds how far the training loss is above "
            f"its minimum, and training ended before that ({result.ended})."
        )
    return (
        f"{term} is {bound:.3g} nats: the training loss with its L2 term has one minimum, and no head at all has a "
        "loss that is lower than this one's by more. Longer training gains no more than that."
    )


def _logit_error(result: FinetuneResult, error: float) -> str:
    lost = result.float_head_accuracy - result.after.holdout_accuracy
    change = "the same" if lost == 0 else f"{100 * abs(lost):.1f} points {'less' if lost > 0 else 'more'}"
    return (
        f"<code>max_logit_error</code> is {error:.3g}: writing the head into the numbers of the file moved no logit of "
        "a held-out sample by more, so two classes can only have changed places where their logits are closer than "
        f"{2 * error:.3g}. The float head is right on {percent(result.float_head_accuracy)} of the held-out samples, "
        f"the file on {percent(result.after.holdout_accuracy)}: {change}."
    )
