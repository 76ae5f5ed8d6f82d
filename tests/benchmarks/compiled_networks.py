"""The table of docs/compilers.md: networks of MLPerf Tiny through Vela and TFLite Micro.

python tests/benchmarks/compiled_networks.py

with EDGE_CNN_DATA; every figure is computed by the compilers, no time is measured.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import click

from converters.compilers.table import COMPILERS
from edge_cnn.cli.console import table
from edge_cnn.core.artifact import read_artifact
from edge_cnn.core.targets import find_target

NETWORKS = {"ResNet-8": "pretrainedResnet_quant", "DS-CNN": "kws_ref_model", "autoencoder": "ad01_int8"}
ACCELERATORS = ("ethos-u55", "ethos-u65", "ethos-u85")


def note(done: int, total: int, step: str) -> None:
    click.echo(f"{done + 1}/{total}: {step}", err=True)


def main() -> None:
    data = os.environ.get("EDGE_CNN_DATA")
    if not data:
        sys.exit("set EDGE_CNN_DATA to a folder with mlperf_tiny")
    accelerated, interpreted = [], []
    for network, file in NETWORKS.items():
        artifact = read_artifact(Path(data, "mlperf_tiny", "models", f"{file}.tflite"))
        with tempfile.TemporaryDirectory() as folder:
            for name in ACCELERATORS:
                told = COMPILERS["vela"].compile(artifact, find_target(name), Path(folder), note).report.to_json()
                memory = ", ".join(f"{size / 1024:.1f} {kind}" for kind, size in told["memory_bytes"].items())
                figures = [f"{count:,}" for count in (told["cycles"]["total"], told["cycles"]["npu"])]
                on_cpu = str(len(told["cpu_operators"]))
                accelerated.append(
                    [network, told["accelerator"], *figures, f"{told['estimated_ms']:.3f}", memory, on_cpu]
                )
            told = COMPILERS["tflm"].compile(artifact, find_target("cortex-m4"), Path(folder), note).report.to_json()
            interpreted.append([network, *(f"{told[f'{part}_bytes']:,}" for part in ("arena", "activation", "model"))])
    header = ["network", "accelerator", "cycles", "of the NPU alone", "ms", "KiB", "operators on the CPU"]
    click.echo(table(header, accelerated))
    click.echo()
    click.echo(table(["network", "arena", "of which activations", "flash"], interpreted))


if __name__ == "__main__":
    main()
