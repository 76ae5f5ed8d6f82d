"""The Pareto front against its definition."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from converters.report.attempt import pareto_front

POINTS = st.lists(st.tuples(st.integers(1, 6), st.integers(0, 6)), min_size=1, max_size=12)


@given(POINTS)
def test_a_point_is_on_the_front_if_and_only_if_no_other_beats_it(points):
    costs, gains = zip(*points, strict=True)

    def beats(a, b):
        return a[0] <= b[0] and a[1] >= b[1] and a != b

    front = pareto_front(costs, gains)
    best = {p for p in points if not any(beats(q, p) for q in points)}
    assert {points[i] for i in front} == best
    assert len(front) == len(best), "of equal points one stands for all"
    assert [costs[i] for i in front] == sorted(costs[i] for i in front)
