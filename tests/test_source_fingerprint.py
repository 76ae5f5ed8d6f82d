"""An edit makes anew what it can change, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.source_fingerprint import ROOT, fingerprint_of, sources_of


@pytest.fixture
def project(tmp_path):
    """a/recipe.py imports a/used.py at its top, lazily b/lazy.py, and for type checkers a/typed.py."""
    files = {
        "a/__init__.py": "",
        "a/recipe.py": "import a.used\ndef make():\n    from b import lazy\n"
        "if TYPE_CHECKING:\n    import a.typed\nelse:\n    import numpy, a.otherwise\n",
        "a/used.py": "from a.second import VALUE",
        "a/second.py": "import a.recipe",
        "a/typed.py": "",
        "a/otherwise.py": "",
        "b/lazy.py": "",
        "b/unused.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_sources_are_what_is_imported_at_any_time_and_the_packages_above(project):
    names = [path.relative_to(project).as_posix() for path in sources_of("a.recipe", project)]
    assert names == ["a/__init__.py", "a/otherwise.py", "a/recipe.py", "a/second.py", "a/used.py", "b/lazy.py"]


@pytest.mark.parametrize(("name", "changes"), [("b/lazy.py", True), ("a/__init__.py", True), ("b/unused.py", False)])
def test_the_fingerprint_changes_with_its_sources_and_with_no_other_file(project, name, changes):
    before = fingerprint_of("a.recipe", project)
    (project / name).write_text("VALUE = 1")
    assert (fingerprint_of("a.recipe", project) != before) is changes


def test_all_that_an_export_has_imported_in_a_process_of_its_own_is_among_its_sources():
    code = "import json, sys, {}\nprint(json.dumps([getattr(m, '__file__', None) for m in sys.modules.values()]))"
    modules = "converters.export, converters.sources.load, edge_cnn.host.training, tests.exported_bundles"
    done = subprocess.run(
        [sys.executable, "-c", code.format(modules)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = {name for name in json.loads(done.stdout) if name and name.startswith(f"{ROOT}/") and ".venv" not in name}
    found = {str(path) for path in sources_of("tests.exported_bundles")}
    assert len(loaded) > 30
    assert loaded <= found


def test_where_networks_are_trained_nothing_of_the_device_side_is_a_source():
    folders = {path.relative_to(ROOT).parts[:2] for path in sources_of("tests.trained_networks")}
    assert ("edge_cnn", "host") in folders
    assert not folders & {("edge_cnn", "device"), ("edge_cnn", "verify")}
