from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

import edge_cnn
from converters.constraints.table import RULE_SETS, constraints_of, violations
from converters.constraints.target_page import main, page
from edge_cnn.core.artifact import Artifact
from edge_cnn.core.errors import InputError
from edge_cnn.core.targets import TARGETS, find_target

ROOT = Path(edge_cnn.__file__).parents[1]


def test_every_constraint_has_one_line_for_a_person_and_a_name_of_its_own() -> None:
    rules = {rule.find: rule for rules in RULE_SETS.values() for rule in rules}
    for rule in rules.values():
        assert re.fullmatch(r"[A-Z].{10,110}", rule.message)
    assert len({rule.name for rule in rules.values()}) == len(rules)


def test_every_set_of_rules_holds_for_some_target() -> None:
    used = {name for target in TARGETS.values() for name in (target.format, *target.rules)}
    assert used == set(RULE_SETS)


def test_the_exported_files_keep_the_rules_of_their_targets(
    artifacts: dict[str, Artifact], onnx_cpu_int8: Artifact
) -> None:
    checked = set()
    for kind, artifact in artifacts.items():
        scheme = kind.split(".")[0]
        for target in TARGETS.values():
            if target.format != artifact.format or scheme not in target.schemes:
                continue
            is_for_cpu = artifact.format == "onnx" and scheme == "int8" and target.activations == "uint8"
            assert violations(onnx_cpu_int8 if is_for_cpu else artifact, target, scheme) == []
            checked.add(target.name)
    assert checked == set(TARGETS)


def test_a_misspelt_set_of_rules_is_told() -> None:
    odd = replace(find_target("rpi5"), rules=("edge-tpu",))
    with pytest.raises(InputError, match="unknown rules 'edge-tpu'; known: tflite, onnx"):
        constraints_of(odd, "int8")


def test_rules_for_memory_without_memory_are_told(artifacts: dict[str, Artifact]) -> None:
    odd = replace(find_target("rpi5"), rules=("memory",))
    with pytest.raises(InputError, match="states none"):
        violations(artifacts["int8.tflite"], odd, "int8")


def test_the_page_in_the_documentation_says_what_the_code_does() -> None:
    written = (ROOT / "docs" / "targets.md").read_text()
    assert written == page(), "make it anew: python -m converters.constraints.target_page docs/targets.md"


def test_every_target_and_every_rule_is_on_the_page() -> None:
    text = page()
    for target in TARGETS.values():
        assert f"| `{target.name}` | {target.description} |" in text
        for scheme in target.schemes:
            assert all(f"- {constraint.message}" in text for constraint in constraints_of(target, scheme))


def test_the_command_on_the_page_writes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = page().split("`")[3].split()
    assert command[:3] == ["python", "-m", main.__module__]
    monkeypatch.setattr("sys.argv", ["target_page", str(tmp_path / "targets.md")])
    assert main() == 0
    assert (tmp_path / "targets.md").read_text() == page()
