"""What the benchmark of head training makes of its times: ratios to the peers, the table, and the goals.

A peer that never comes to a goal does not count there. Where the project's own side never does and a peer does, the
goal is missed.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from head_training_side import ACCURACY, LOSS

OURS, EXACT = "edge_cnn", "LogisticRegression"
NEVER = "never"

Times = Mapping[str, Sequence[Mapping[str, float | None]]]
"""By side: milliseconds to each goal, one entry a round, None where it never comes to it."""


def median_ms(times: Times, name: str, goal: str) -> float | None:
    """Over the rounds."""
    values = [one[goal] for one in times[name]]
    return statistics.median(v for v in values if v is not None) if None not in values else None


def ratio(times: Times, peer: str, goal: str) -> float | None:
    """Median over rounds of our time divided by the peer's; None where one of both never comes to the goal."""
    pairs = [(ours[goal], theirs[goal]) for ours, theirs in zip(times[OURS], times[peer], strict=True)]
    return statistics.median(a / b for a, b in pairs) if all(None not in pair for pair in pairs) else None


def fastest_peer(times: Times, goal: str) -> str | None:
    """The peer that comes to the goal in the least time, None where none does."""
    there = {name: ms for name in times if name != OURS and (ms := median_ms(times, name, goal)) is not None}
    return min(there, key=there.__getitem__) if there else None


def compare(times: Times, memory: Mapping[str, float]) -> dict[str, Any]:
    """Ratios of one set of embeddings on one number of threads, and which peers they are to.

    The ratio of accuracy is to the peer that leaves the largest one, which is the fastest: rounds are compared with
    themselves, so that what slows a whole round down slows both.
    """
    peers = [name for name in times if name != OURS]
    ratios = {name: r for name in peers if (r := ratio(times, name, ACCURACY)) is not None}
    fastest = max(ratios, key=ratios.__getitem__) if ratios else fastest_peer(times, ACCURACY)
    smallest = min(peers, key=memory.__getitem__) if peers else None
    return {
        "loss_ratio": ratio(times, EXACT, LOSS) if EXACT in times else None,
        "accuracy_ratio": ratios.get(fastest) if fastest else None,
        "accuracy_peer": fastest,
        "memory_ratio": memory[OURS] / max(memory[smallest], 1e-3) if smallest else None,
        "memory_peer": smallest,
    }


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """One line a result, a column for each side that ran."""
    names = list(results[0]["ms"])
    exact = [name for name in (OURS, EXACT) if name in names]
    rows = [
        ["embeddings", "threads", *(f"loss ms {n}" for n in exact), "ratio"]
        + [f"accuracy ms {n}" for n in names]
        + ["ratio", "to", *(f"MB {n}" for n in names), "ratio"]
    ]
    for r in results:
        there = r["accuracy_ratio"] is not None or r["accuracy_peer"] is None
        rows.append(
            [r["embeddings"], str(r["threads"]), *(_ms(r["ms"][n][LOSS]) for n in exact), _share(r["loss_ratio"])]
            + [_ms(r["ms"][n][ACCURACY]) for n in names]
            + [_share(r["accuracy_ratio"]) if there else NEVER, r["accuracy_peer"] or "-"]
            + [*(f"{r['memory_mb'][n]:.1f}" for n in names), _share(r["memory_ratio"])]
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def summary(results: Sequence[Mapping[str, Any]]) -> str:
    """The goals, met or missed, a number of threads; those that have nothing to be compared with are left out."""
    lines = []
    for threads in sorted({r["threads"] for r in results}):
        mine = [r for r in results if r["threads"] == threads]
        parts = [part for part in (_losses(mine), _accuracies(mine), _memories(mine)) if part]
        lines.append(f"{threads} thread{'s' if threads > 1 else ''}: {'; '.join(parts) or 'no peer ran'}")
    return "\n".join(lines)


def _losses(results: list[Mapping[str, Any]]) -> str:
    compared = [r for r in results if EXACT in r["ms"]]
    if not compared:
        return ""
    ratios = [r["loss_ratio"] for r in compared if r["loss_ratio"] is not None]
    if len(ratios) < len(compared):
        lost = next(r["embeddings"] for r in compared if r["loss_ratio"] is None)
        return f"loss not near the least by {OURS} or by {EXACT} on {lost} (MISSED)"
    mean, worst = statistics.geometric_mean(ratios), max(ratios)
    return (
        f"loss {mean:.2f} of {EXACT}'s time in geometric mean ({_verdict(mean <= 0.7)} <= 0.7), "
        f"at worst {worst:.2f} ({_verdict(worst <= 1.2)} <= 1.2)"
    )


def _accuracies(results: list[Mapping[str, Any]]) -> str:
    compared = [r for r in results if r["accuracy_peer"] is not None]
    if not compared:
        return ""
    lost = next((r for r in compared if r["accuracy_ratio"] is None), None)
    if lost is not None:
        return f"accuracy never there on {lost['embeddings']}, where {lost['accuracy_peer']} is (MISSED)"
    worst = max(compared, key=lambda r: r["accuracy_ratio"])
    best = worst["accuracy_ratio"]
    return (
        f"accuracy at worst {best:.2f} of the fastest peer's time, {worst['accuracy_peer']}'s on "
        f"{worst['embeddings']} ({_verdict(best <= 0.3)} <= 0.3)"
    )


def _memories(results: list[Mapping[str, Any]]) -> str:
    compared = [r for r in results if r["memory_ratio"] is not None]
    if not compared:
        return ""
    worst = max(compared, key=lambda r: r["memory_ratio"])
    ratio = worst["memory_ratio"]
    return f"memory at worst {ratio:.2f} of the smallest peer's, {worst['memory_peer']}'s ({_verdict(ratio < 1)} < 1)"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _verdict(fine: bool) -> str:
    return "met" if fine else "MISSED"
