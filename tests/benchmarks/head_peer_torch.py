"""PyTorch's side of the benchmark of head training: a linear layer and Adam."""

from __future__ import annotations

import numpy as np
from head_shapes import Embeddings
from head_side import L2, Fit, Setting, mini_batches


def torch_side(embeddings: Embeddings, threads: int, setting: Setting) -> Fit:
    """`torch.nn.Linear` without bias, as the column of ones is one, and Adam's fused step, the quickest it has."""
    import torch

    torch.set_num_threads(threads)
    z = torch.from_numpy(embeddings.inputs())
    labels = torch.from_numpy(embeddings.labels)
    batches = mini_batches(len(z), setting.batch)
    layer = torch.nn.Linear(z.shape[1], embeddings.classes, bias=False)
    entropy = torch.nn.functional.cross_entropy

    def fit(iterations: int) -> np.ndarray:
        torch.nn.init.zeros_(layer.weight)
        # Its weight decay adds l2 V to the gradient, which is the L2 of the loss; AdamW's would be another problem.
        adam = torch.optim.Adam(layer.parameters(), lr=setting.rate, weight_decay=L2, fused=True)
        for number in range(iterations):
            batch = batches[number % len(batches)]
            adam.zero_grad()
            entropy(layer(z[batch]), labels[batch]).backward()
            adam.step()
        return layer.weight.detach().numpy().copy()

    return fit
