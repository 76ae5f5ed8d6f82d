"""What is drawn while a head is tuned: one bar after the other, remarks between them."""

import contextlib

from edge_cnn.cli.finetune_progress import prediction, shown
from edge_cnn.device.training.linear_probe import PredictedGain
from edge_cnn.device.training.progress import EpochLoss


class Screen:
    """In the place of a `Console`: what would be drawn, in its order."""

    def __init__(self):
        self.events = []

    def note(self, text):
        self.events.append(f"note {text}")

    @contextlib.contextmanager
    def progress(self, label, total):
        self.events.append(f"open {label} {total}")
        yield lambda done, _="": self.events.append(f"{label} {done}")
        self.events.append(f"close {label}")


PREDICTED = PredictedGain(0.2, 0.5, (0.4, 0.6), 100, 0.1)


def test_bars_follow_each_other_and_no_remark_falls_into_one():
    screen, remarks = Screen(), []
    with shown(screen, 70, 9, remarks) as listener:
        listener.on_batch(32, 70)
        listener.on_batch(50, 70)
        listener.on_remark("copies")
        # Replayed samples are embedded after what is told of the new ones.
        listener.on_batch(70, 70)
        listener.on_remark("few")
        listener.on_predicted(PREDICTED)
        listener.on_epoch(EpochLoss(1, 0.5, 0.6, 0.7))
        listener.on_epoch(EpochLoss(2, 0.4, 0.5, 0.8))
    assert screen.events == [
        "open embedding 70",
        "embedding 32",
        "embedding 50",
        "close embedding",
        "note copies",
        "open embedding 70",
        "embedding 70",
        "close embedding",
        "note few",
        f"note {prediction(PREDICTED)}",
        "open training 9",
        "training 1",
        "training 2",
        "close training",
    ]
    assert remarks == ["copies", "few"], "a prediction has its own field"


def test_a_prediction_says_whether_more_can_be_reached():
    assert prediction(PREDICTED).startswith(
        "the last layer can reach about 50.0 % on samples like the new ones (95 % interval 40.0 to 60.0 %, "
        "cross-validated on 100), now it is 20.0 %"
    )
    worse = prediction(PredictedGain(0.6, 0.5, (0.4, 0.6), 100, 0.1))
    assert worse.startswith("the last layer is hardly to be improved with these samples: it answers 60.0 % of them")
