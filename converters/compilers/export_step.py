"""The compilers' step of an export: between the bundle that is made and the files that are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from converters.compilers.compiled_folder import (
    check_replaceable,
    compiled_folder,
    finish_folder,
    put_in_place,
    staging_folder,
)
from converters.compilers.compiler import Compiled, cpu_notes
from converters.compilers.table import COMPILERS
from edge_cnn.core.artifact import Artifact
from edge_cnn.core.bundle import Bundle
from edge_cnn.core.errors import CompilerMissingError, ConstraintError, InputError
from edge_cnn.core.targets import Target, find_target
from edge_cnn.verify.devices.preparation import OnStep


@dataclass(frozen=True)
class CompileConfig:
    """How to compile.

    Attributes:
        wanted: True where a compiler that is missing is an error, False for no compiler; None for what is at hand.
        accelerator_only: an operator that stays on the CPU is an error.
        options: TARGET -> words behind those of its row.
    """

    wanted: bool | None = None
    accelerator_only: bool = False
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])


@dataclass(frozen=True)
class CompiledArtifact:
    """One artifact, compiled for one target.

    Attributes:
        artifact: what was compiled.
        target: for whom, with the compiler and all its options.
        compiled: names of files in the target's folder, and the report.
    """

    artifact: Artifact
    target: Target
    compiled: Compiled

    def to_json(self) -> dict[str, Any]:
        """As it stands in the manifest: the same inputs and versions give the same."""
        return {
            "target": self.target.name,
            "artifact": self.artifact.name,
            "sha256": self.artifact.sha256,
            "compiler": self.target.compiler,
            "options": list(self.target.compiler_options),
            "files": list(self.compiled.files),
            "report": self.compiled.report.to_json(),
        }


@dataclass(frozen=True)
class WrittenExport:
    """What lies on the disk.

    Attributes:
        bundle: with the reports in its manifest.
        compiled: one entry an artifact and target.
        notes: what a person should know, a line each.
    """

    bundle: Bundle
    compiled: tuple[CompiledArtifact, ...]
    notes: tuple[str, ...]


def check_compiling(targets: Sequence[str], out: Path, config: CompileConfig) -> tuple[str, ...]:
    """The targets that there will be compiled for, and what can be told before any work.

    Raises:
        InputError: an unknown target, nothing to compile for where it is demanded, options for none of the targets, or
            files of the user's own where a compiler's files would go.
        CompilerMissingError: compiling is demanded, and a compiler is not there and cannot be made ready.
    """
    compiling = [find_target(name).name for name in targets if find_target(name).compiler]
    if config.wanted and not compiling:
        raise InputError(f"--compile: {', '.join(targets)} have no compiler; see 'edge-cnn targets'")
    for name in config.options:
        if name not in compiling:
            raise InputError(
                f"--compiler-option {name}: that is no target of this export with a compiler; "
                f"there are {', '.join(compiling) or 'none'}"
            )
    if config.wanted is False:
        return ()
    for name in compiling:
        check_replaceable(compiled_folder(out, name))
        if config.wanted:
            COMPILERS[find_target(name).compiler].check()
    return tuple(compiling)


def write_export(bundle: Bundle, out: Path, config: CompileConfig, on_step: OnStep) -> WrittenExport:
    """Compile for every target that has a compiler, then write the bundle and the targets' folders beside it.

    Args:
        bundle: what `export_bundle` returned.
        out: the file to write it to.
        config: whether and how to compile.
        on_step: told of each step.

    Raises:
        CompilerMissingError: `config.wanted`, and a compiler is not there.
        CompilerError: a compiler fails; nothing is written.
        ConstraintError: it does not fit the hardware, or an operator stays on the CPU and may not; nothing is written.
        InputError: there is no space, or files of the user's own are in the way.
    """
    jobs = [
        (bundle.artifact(entry.name), replace(target, compiler_options=target.compiler_options + more))
        for entry in bundle.manifest.artifacts
        for target in map(find_target, entry.targets)
        if target.compiler and config.wanted is not False
        for more in [config.options.get(target.name, ())]
    ]
    try:
        with staging_folder(out) as staging:
            compiled, notes = _compile_all(jobs, staging, config, on_step)
            reports = [one.to_json() for one in compiled]
            if reports:
                manifest = bundle.manifest
                provenance = manifest.provenance | {"compiled": reports}
                bundle = Bundle(
                    replace(manifest, provenance=provenance), bundle.artifacts, bundle.golden, bundle.replay
                )
            done = dict.fromkeys(one.target.name for one in compiled)
            for name in done:
                check_replaceable(compiled_folder(out, name))
                finish_folder(staging / name, {"compiled": [r for r in reports if r["target"] == name]})
            bundle.write(out)
            for name in done:
                put_in_place(staging / name, compiled_folder(out, name))
    except OSError as error:
        raise InputError(
            f"cannot write {error.filename or out}: {error.strerror or error}; see to that folder"
        ) from error
    return WrittenExport(bundle, compiled, (*notes, *_stale(bundle, out, set(done))))


def _compile_all(
    jobs: Sequence[tuple[Artifact, Target]], staging: Path, config: CompileConfig, on_step: OnStep
) -> tuple[tuple[CompiledArtifact, ...], tuple[str, ...]]:
    done: list[CompiledArtifact] = []
    notes: dict[str, None] = {}
    for i, (artifact, target) in enumerate(jobs):
        on_step(i, len(jobs), f"{artifact.name} for {target.name} with {target.compiler}")
        folder = staging / target.name
        folder.mkdir(exist_ok=True)
        try:
            compiled = COMPILERS[target.compiler].compile(artifact, target, folder, on_step)
        except CompilerMissingError as error:
            if config.wanted:
                raise
            notes[f"not compiled for {target.name}: {error}"] = None
            continue
        left = compiled.report.cpu_operators
        if left and config.accelerator_only:
            raise ConstraintError(
                f"{artifact.name} for {target.name}: {'; '.join(cpu_notes(left))}; "
                "change the network, or leave out --accelerator-only"
            )
        notes |= {f"{artifact.name} for {target.name}: {note}": None for note in compiled.report.notes()}
        done.append(CompiledArtifact(artifact, target, compiled))
    return tuple(done), tuple(notes)


def _stale(bundle: Bundle, out: Path, done: set[str]) -> list[str]:
    names = dict.fromkeys(name for entry in bundle.manifest.artifacts for name in entry.targets)
    left = [compiled_folder(out, name) for name in names if find_target(name).compiler and name not in done]
    return [f"{folder} is of an earlier export" for folder in left if folder.exists()]
