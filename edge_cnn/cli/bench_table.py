"""The tables of `edge-cnn bench`."""

from __future__ import annotations

from collections.abc import Sequence

from edge_cnn.cli.console import table
from edge_cnn.verify.latency_report import OUTLIER_FACTOR, LatencyReport, Timing

EMULATED = "emulated"

_HEADER = ("artifact", "device", "runtime", "kernels", "ran on", "threads")
_TIMES = ("cold ms", "p50 us", "p90 us", "p99 us", "images/s", "MiB")
_STARTS = ("artifact", "device", "threads", "process", "import", "load", "first run", "outliers", "throttling")


def draw(reports: Sequence[LatencyReport]) -> str:
    """Latencies, the parts of the cold starts in milliseconds, and the operators where they were asked for."""
    parts = [table((*_HEADER, *_TIMES), [_row(report) for report in reports])]
    measured = [(report, report.timing) for report in reports if report.timing is not None]
    if measured:
        parts.append(table(_STARTS, [_start_row(report, timing) for report, timing in measured]))
        parts.append(
            "process to first run are the parts of the cold start in ms. Outliers are runs above "
            f"{OUTLIER_FACTOR:g} x p50; they count in every figure, since an application meets them too."
        )
    parts += [text for report, timing in measured if (text := _operators(report, timing))]
    if len(measured) < len(reports):
        parts.append("Emulated devices show that a model runs, and on which kernels; their times are no device's.")
    return "\n\n".join(parts)


def _row(report: LatencyReport) -> list[str]:
    ran_on = ", ".join(f"{name} {share:.0%}" for name, share in report.kernels.shares.items())
    names = [report.artifact, report.device, report.runtime, report.kernels.family, ran_on, str(report.threads)]
    timing = report.timing
    if timing is None:
        return [*names, *[EMULATED] * len(_TIMES)]
    latencies = [f"{timing.percentile(share):.0f}" for share in (0.5, 0.9, 0.99)]
    throughput, memory = f"{timing.images_per_s:.0f}", f"{timing.peak_memory_mb:.1f}"
    return [*names, f"{timing.cold_start.total_ms:.0f}", *latencies, throughput, memory]


def _start_row(report: LatencyReport, timing: Timing) -> list[str]:
    start = timing.cold_start
    parts = (start.process_ms, start.import_ms, start.load_ms, start.first_inference_ms)
    outliers = f"{timing.outliers} of {len(timing.latencies_us)}"
    names = [report.artifact, report.device, str(report.threads)]
    return [*names, *(f"{ms:.1f}" for ms in parts), outliers, timing.throttling.in_words()]


def _operators(report: LatencyReport, timing: Timing) -> str:
    where = f"{report.artifact} on {report.device}, {report.threads} thread{'s' if report.threads > 1 else ''}"
    if timing.operators is None:
        return f"operators of {where}: {timing.operators_reason}" if timing.operators_reason else ""
    total = sum(operator.us for operator in timing.operators)
    rows = [
        [o.op, f"{o.us:.0f}", f"{100 * o.us / total if total else 0:.1f}%", o.provider, o.name]
        for o in sorted(timing.operators, key=lambda o: -o.us)
    ]
    title = f"operators of {where}, median us of a run with the profiler on:"
    return f"{title}\n{table(('operator', 'us', 'share', 'ran on', 'node'), rows)}"
