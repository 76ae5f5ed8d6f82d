"""How `finetune` shows what it is doing: a bar for embedding, what can be reached, a bar for training."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

from edge_cnn.cli.console import Console, Progress
from edge_cnn.device.finetuning.finetuning import Listener
from edge_cnn.device.training.linear_probe import PredictedGain
from edge_cnn.device.training.progress import EpochLoss


@contextlib.contextmanager
def shown(console: Console, samples: int, epochs: int, remarks: list[str]) -> Generator[Listener]:
    """Yield what `finetune_samples` tells, to be shown.

    Args:
        console: where.
        samples: to be embedded.
        epochs: passes at most.
        remarks: what is told of the samples is added here.
    """
    with contextlib.ExitStack() as bars:
        drawn: dict[str, Progress] = {}

        def bar(label: str, total: int) -> Progress:
            if label not in drawn:
                close()  # One bar after the other: two at once overwrite each other.
                drawn[label] = bars.enter_context(console.progress(label, total))
            return drawn[label]

        def close() -> None:
            bars.close()
            drawn.clear()

        def tell(text: str) -> None:
            close()  # A remark in the middle of a bar would be overwritten by it.
            console.note(text)

        def on_remark(text: str) -> None:
            remarks.append(text)
            tell(text)

        def on_epoch(epoch: EpochLoss) -> None:
            bar("training", epochs)(epoch.epoch, f"loss {epoch.loss:.4f} held-out {epoch.holdout_loss:.4f}")

        yield Listener(
            on_batch=lambda done, _total: bar("embedding", samples)(done),
            on_remark=on_remark,
            on_predicted=lambda predicted: tell(prediction(predicted)),
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
