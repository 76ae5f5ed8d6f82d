"""What of a file will not run on its targets, told before anything is copied."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.errors import ConstraintError, InputError
from edge_cnn.core.targets import Target, find_target
from edge_cnn.device.runtimes.release import parse_release, problems


def preflight(artifact: Artifact, targets: Iterable[Target], releases: Sequence[str] = ()) -> dict[str, list[str]]:
    """Runtime, as targets and `--for` name it -> what of the file will not run there, empty if nothing is known.

    Args:
        artifact: a model file.
        targets: whose runtimes are asked, those for files of another format excepted.
        releases: more of them, RUNTIME or RUNTIME==VERSION; of those for other formats nothing is told.

    Raises:
        InputError: a runtime that is not known.
        ModelError: the file is damaged.
    """
    names = dict.fromkeys((*(name for target in targets for name in target.runtimes), *releases))
    asked = {name: parse_release(name) for name in names}
    return {name: problems(artifact, release) for name, release in asked.items() if release.format == artifact.format}


def check_releases(releases: Sequence[str], targets: Iterable[str]) -> None:
    """What can be told of `--for` before any work.

    Raises:
        InputError: a runtime that is not known, or that loads files of none of these targets.
    """
    formats = {find_target(name).format for name in targets}
    for name in releases:
        release = parse_release(name)
        if release.format not in formats:
            raise InputError(f"--for {name}: it loads .{release.format} files, and no target here takes those")


def check_preflight(artifact: Artifact, targets: Sequence[Target], releases: Sequence[str] = ()) -> None:
    """Raises: ConstraintError: a target has no runtime that takes the file, or one of `releases` does not take it."""
    found = preflight(artifact, targets, releases)
    for name in releases:
        if found.get(name):
            raise ConstraintError(f"{artifact.name} does not run on {name}: {'; '.join(found[name])}; {_ADVICE}")
    for target in targets:
        if all(found[name] for name in target.runtimes):
            told = "; ".join(f"{name}: {', '.join(found[name])}" for name in target.runtimes)
            raise ConstraintError(f"{artifact.name} runs on no runtime of {target.name} ({told}); {_ADVICE}")


_ADVICE = "choose another scheme, or a newer runtime on the device"
