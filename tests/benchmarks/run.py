"""`make bench`: every benchmark on one model, one table with ratios and goals. Nothing fails here: times are noisy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
BENCHMARKS = (
    "predict_overhead.py",
    "agent_overhead.py",
    "cold_start.py",
    "import_time.py",
    "export_time.py",
    "train_throughput.py",
)


def run(script: str, *arguments: str) -> str:
    """A benchmark in a process of its own: one that has loaded TensorFlow times something else."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), str(HERE)])}
    command = [sys.executable, script, *arguments]
    child = subprocess.run(command, stdout=subprocess.PIPE, env=environment, check=True, cwd=HERE)
    return child.stdout.decode()


def row(result: dict[str, float | str]) -> list[str]:
    met = "met" if float(result["ratio"]) <= float(result["goal"]) else "MISSED"
    times = [f"{float(result[side]):.1f} {result['unit']}" for side in ("edge_cnn", "bare")]
    return [str(result["benchmark"]), *times, f"{float(result['ratio']):.3f}", f"<= {result['goal']}", met]


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "resnet8.edgecnn"
        sys.stderr.write("making the model\n")
        run(
            "-c",
            f"from pathlib import Path; from resnet8_bundle import write_bundle; write_bundle(Path({str(bundle)!r}))",
        )
        rows = [["benchmark", "edge_cnn", "bare", "ratio", "goal", ""]]
        notes: list[str] = []
        for script in BENCHMARKS:
            sys.stderr.write(f"running {script}\n")
            found = json.loads(run(script, "--bundle", str(bundle)))
            for measured in found if isinstance(found, list) else [found]:
                rows.append(row(measured))
                notes += [measured["note"]] if "note" in measured else []
    widths = [max(len(cells[i]) for cells in rows) for i in range(len(rows[0]))]
    for cells in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        sys.stdout.write(line.rstrip() + "\n")
    sys.stdout.writelines(f"{note}\n" for note in notes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
