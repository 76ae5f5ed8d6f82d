"""Full back-propagation on the host: configuration, loop, and what a training leaves."""

from edge_cnn.host.training.config import TrainConfig
from edge_cnn.host.training.loop import View
from edge_cnn.host.training.records import EpochRecord, StepProgress, TrainingState, TrainResult
from edge_cnn.host.training.train import predict_scores, train

__all__ = [
    "EpochRecord",
    "StepProgress",
    "TrainConfig",
    "TrainResult",
    "TrainingState",
    "View",
    "predict_scores",
    "train",
]
