"""Sections of a network with two inputs: its answer all over the plane, how that came about, and its neurons."""

from __future__ import annotations

import numpy as np

from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.host.decision_surface.colours import score_colours
from edge_cnn.host.decision_surface.film import SIDE, Frame
from edge_cnn.host.decision_surface.pictures import (
    Points,
    answered_points,
    film_strip,
    legend,
    neuron_pictures,
    surface_picture,
)
from edge_cnn.host.decision_surface.plane import plane_of
from edge_cnn.host.decision_surface.surfaces import SurfaceProbe, can_be_probed
from edge_cnn.host.training_report.section import Section, Story

LARGE, SMALL = 160, 40
"""Sides of the surfaces, in points."""

FRAMES_SHOWN = 12


def surface(story: Story) -> Section | None:
    """The answer at every point, and the points that are still wrong."""
    probe = _probe(story)
    if probe is None:
        return None
    return surface_section(probe, story.dataset.train, story.dataset.test, LARGE)


def surface_section(probe: SurfaceProbe, train: LabelledImages, test: LabelledImages, side: int) -> Section:
    """As `surface`, for a network that may still be training; `side` is how many points across."""
    parts = answered_points(probe.plane, *((part, probe.answers(part.images)) for part in (train, test)))
    names = train.class_names
    return Section(
        "Its answer at every point",
        surface_picture(score_colours(probe.scores(side)), parts, names) + legend(parts, names),
        f"The paler, the less sure. Answered wrong: {_count(parts[0])} and {_count(parts[1])}.",
    )


def film(story: Story) -> Section | None:
    """The surface after a few epochs, and at the end."""
    probe = _probe(story)
    best = story.result.history[story.result.best_epoch]
    early = [frame for frame in story.frames if frame.record.epoch < best.epoch]
    if probe is None or not early:
        return None
    frames = (*early[-FRAMES_SHOWN + 1 :], Frame(best, score_colours(probe.scores(SIDE))))
    return Section(
        "How it learned",
        film_strip([(frame.caption, frame.pixels) for frame in frames]),
        "The answer at every point of the same plane, after each time about twice as many epochs.",
        wide=True,
    )


def neurons(story: Story) -> Section | None:
    """What each hidden neuron gives all over the plane."""
    probe = _probe(story)
    return None if probe is None else neuron_section(probe, SMALL)


def neuron_section(probe: SurfaceProbe, side: int) -> Section | None:
    """As `neurons`, for a network that may still be training; `side` is how many points across."""
    surfaces = probe.look(side).neurons
    if not surfaces:
        return None
    return Section(
        "What each neuron sees",
        neuron_pictures(surfaces),
        "Blue: positive. Orange: negative. White: 0. A neuron of the first layer bends along one straight line; those "
        "of a further layer put such lines together.",
        wide=True,
    )


def _probe(story: Story) -> SurfaceProbe | None:
    plane = plane_of(story.dataset.train, story.dataset.test)
    if plane is None or not can_be_probed(story.result.model):
        return None
    return SurfaceProbe(story.result.model, plane)


def _count(part: Points) -> str:
    return f"{int(np.sum(part.wrong))} of {len(part.labels)} {part.name} points"
