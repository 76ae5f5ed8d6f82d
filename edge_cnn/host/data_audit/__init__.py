"""What is wrong with data, found before a network is trained on it."""

from edge_cnn.host.data_audit.audit import FINDINGS, audit, audited

__all__ = ["FINDINGS", "audit", "audited"]
