"""One fine-tuning in a process of its own; prints its peak memory in MB above the runtimes, its optimizer and accuracy.

memory_driver.py MODEL DATA WORK BUDGET_MB THREADS
"""

import gc
import json
import re
import sys
from pathlib import Path

import numpy as np

from edge_cnn.device.finetuning import tuned_model
from edge_cnn.device.finetuning.embedding import Embedder
from edge_cnn.device.finetuning.finetuning import finetune_samples
from edge_cnn.device.finetuning.result import FinetuneConfig
from edge_cnn.device.finetuning.work import FinetuneWork
from edge_cnn.device.head import writing as head_writing
from edge_cnn.device.opening import open_classifier
from edge_cnn.device.sample_source import open_data
from edge_cnn.device.training.malloc_arenas import share_one_arena


def status_mb(name):
    return int(re.findall(rf"{name}:\s+(\d+)", Path("/proc/self/status").read_text())[0]) / 1024


def main(model, data, work, budget, threads):
    share_one_arena()
    classifier = open_classifier(model, input_range=(0.0, 1.0), threads=int(threads))
    samples = open_data(Path(data), classifier.image_shape, classifier.labels)
    some, _ = samples.read(np.arange(32))
    classifier.predict(some)
    # All that is imported late, BLAS's own buffers, and the runtimes that fine-tuning opens: not its own memory.
    few = samples.select(np.arange(0, len(samples), 10))
    with FinetuneWork(Path(work)) as folder:
        finetune_samples(classifier, few, config=FinetuneConfig(), work=folder)
    backbone = Embedder(classifier)
    backbone.codes(some)
    gc.collect()
    opened = [0.0]

    def counted(original):
        def open_and_count(*args, **options):
            before = status_mb("VmRSS")
            runtime = original(*args, **options)
            runtime.run(tuple(np.zeros((1, *spec.shape[1:]), spec.numpy_dtype) for spec in runtime.inputs))
            opened[0] += max(status_mb("VmRSS") - before, 0.0)
            return runtime

        return open_and_count

    for module in (head_writing, tuned_model):
        module.open_runtime = counted(module.open_runtime)
    base = status_mb("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    with FinetuneWork(Path(work)) as folder:
        config = FinetuneConfig(memory=int(float(budget) * 2**20))
        result = finetune_samples(classifier, samples, config=config, work=folder)
    peak = status_mb("VmHWM") - base - opened[0]
    told = {"peak_mb": peak, "opened_mb": opened[0], "optimizer": result.optimizer["name"]}
    sys.stdout.write(json.dumps(told | {"accuracy": result.after.holdout_accuracy, "samples": len(samples)}) + "\n")


main(*sys.argv[1:])
