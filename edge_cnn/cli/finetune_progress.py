"""How `finetune` shows what it is doing: a bar for embedding, what can be reached, a bar for training."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

from edge_cnn.cli.console import Console, Progress
from edge_cnn.device.finetuning import Listener
from edge_cnn.device.linear_probe import PredictedGain
from edge_cnn.device.training_progress import EpochLoss


@contextlib.contextmanager
def shown(console: Console, samples: int, epochs: int) -> Generator[Listener]:
    """Yield what `finetune_samples` tells, to be shown.

    Args:
        console: where.
        samples: to be embedded.
        epochs: passes at most.
    """
    with contextlib.ExitStack() as bars:
        embedded = bars.enter_context(console.progress("embedding", samples))
        trained: Progress | None = None

        def on_remark(text: str) -> None:
            # A remark in the middle of a bar would be overwritten by it.
            bars.close()
            console.note(text)

        def on_epoch(epoch: EpochLoss) -> None:
            nonlocal trained
            if trained is None:
                # One bar after the other: two at once overwrite each other.
                bars.close()
                trained = bars.enter_context(console.progress("training", epochs))
            trained(epoch.epoch, f"loss {epoch.loss:.4f} held-out {epoch.holdout_loss:.4f}")

        yield Listener(
            on_batch=lambda done, _total: embedded(done),
            on_remark=on_remark,
            on_predicted=lambda predicted: on_remark(prediction(predicted)),
            on_epoch=on_epoch,
        )


def prediction(predicted: PredictedGain) -> str:
    """What the last layer can reach, in words."""
    low, high = (100 * end for end in predicted.interval)
    told = (
        f"{100 * predicted.accuracy:.1f} % on samples like the new ones (95 % interval {low:.1f} to {high:.1f} %, "
        f"cross-validated on {predicted.judged})"
    )
    now = f"{100 * predicted.before:.1f} %"
    if predicted.accuracy <= predicted.before:
        return (
            f"the last layer is hardly to be improved with these samples: it answers {now} of them right as it is, and "
            f"a new one would reach {told}; more samples or training on the host may help"
        )
    return f"the last layer can reach about {told}, now it is {now}; more than that needs training on the host"
