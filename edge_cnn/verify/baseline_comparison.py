"""Today's run against the baseline: a regression is a significant loss, or other bits without a reason."""

from __future__ import annotations

from edge_cnn.core.bundle import Bundle
from edge_cnn.verify.baseline import Baseline, BaselineCell, cell_of
from edge_cnn.verify.baseline_change import CHANGED, NEW, NOT_RUN, REGRESSED, SAME, BaselineChange
from edge_cnn.verify.paired_answers import PairedAnswers
from edge_cnn.verify.verify_result import VerifyReport, VerifyResult


def compare_with_baseline(report: VerifyReport, bundle: Bundle, baseline: Baseline) -> tuple[BaselineChange, ...]:
    """A change a result, and one a cell of the baseline whose device was asked for and that has no result.

    Args:
        report: of the run.
        bundle: that was run.
        baseline: of the same golden samples.
    """
    earlier = {cell.key: cell for cell in baseline.cells}
    changes = [
        _change(result, bundle, earlier.get((result.artifact, result.device, result.runtime)))
        for result in report.results
    ]
    ran, asked = {(r.artifact, r.device, r.runtime) for r in report.results}, set(report.devices())
    changes += [
        BaselineChange(*key, NOT_RUN, "it has figures in the baseline and was not run now")
        for key in earlier
        if key not in ran and key[1] in asked
    ]
    return tuple(changes)


def _change(result: VerifyResult, bundle: Bundle, earlier: BaselineCell | None) -> BaselineChange:
    key = result.artifact, result.device, result.runtime
    now = cell_of(result, bundle)
    if earlier is None:
        return BaselineChange(*key, NEW, "it is not in the baseline")
    if now is None or result.parity is None:
        return BaselineChange(*key, REGRESSED, "it ran in the baseline and does not now")
    pair = PairedAnswers(result.parity.answers.labels, earlier.answers, now.answers)
    if pair.is_significant_loss:
        return BaselineChange(
            *key,
            REGRESSED,
            f"{pair.lost} right answers lost and {pair.won} won since the baseline, more than chance "
            f"(McNemar p = {pair.p_value:.2g}){_why(earlier, now)}",
            pair,
        )
    if now.output_sha256 == earlier.output_sha256:
        return BaselineChange(*key, SAME, "the same bits as in the baseline", pair)
    effect = _effect(pair, earlier, now)
    differences = _differences(earlier, now)
    if not differences:
        reason = f"other bits than in the baseline from the same file, runtime version, kernels and CPU: {effect}"
        return BaselineChange(*key, REGRESSED, reason, pair)
    return BaselineChange(*key, CHANGED, f"{'; '.join(differences)}: {effect}", pair)


def _differences(earlier: BaselineCell, now: BaselineCell) -> list[str]:
    """What may rightly change the bits."""
    words: list[str] = []
    if earlier.artifact_sha256 != now.artifact_sha256:
        words.append("another file")
    if earlier.runtime_version != now.runtime_version:
        words.append(f"{now.runtime} {earlier.runtime_version} -> {now.runtime_version}")
    if earlier.kernels != now.kernels:
        words.append(f"{earlier.kernels} -> {now.kernels} kernels")
    if earlier.machine and now.machine and earlier.machine != now.machine:
        words.append(f"another CPU ({earlier.machine} -> {now.machine})")
    return words


def _why(earlier: BaselineCell, now: BaselineCell) -> str:
    differences = _differences(earlier, now)
    return f"; {', '.join(differences)}" if differences else ""


def _effect(pair: PairedAnswers, earlier: BaselineCell, now: BaselineCell) -> str:
    words = [
        f"{len(pair.flips)} other answers ({pair.lost} right ones lost, {pair.won} won, p = {pair.p_value:.2g})"
        if pair.flips
        else "no other answer"
    ]
    if earlier.max_lsb is not None and now.max_lsb is not None:
        words.append(f"largest difference from the host {earlier.max_lsb} -> {now.max_lsb} LSB")
    if earlier.mean_lsb is not None and now.mean_lsb is not None:
        words.append(f"mean {earlier.mean_lsb:.3f} -> {now.mean_lsb:.3f} LSB")
    return ", ".join(words)
