"""What is wrong with a training, in words: the evidence of its history, and the next thing to try."""

from edge_cnn.host.diagnosis.finding import Finding, Trajectory, constant_loss, trajectory_of
from edge_cnn.host.diagnosis.table import FINDINGS, diagnose, passed

__all__ = ["FINDINGS", "Finding", "Trajectory", "constant_loss", "diagnose", "passed", "trajectory_of"]
