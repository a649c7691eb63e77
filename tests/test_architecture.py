"""The architecture: imports go down, the plan stays light, rules and commands share one name."""

import ast
import re
import subprocess
import sys

import pytest
from conftest import ROOT

from document_architecture import FLOORS, documented, modules, wings_of

LEVEL = {wing: level for level, wings in enumerate(FLOORS) for wing in wings}
RULES = sorted((ROOT / "workflow").rglob("*.smk"))
COMMANDS = sorted(p.stem for p in (ROOT / "scripts").glob("*.py"))
# Commands without a rule: they are for users and developers.
BY_HAND = {
    "document_architecture",
    "document_configuration",
    "harmonize",
    "measure_variation",
    "new_baseline",
    "record_provenance",
}


@pytest.mark.parametrize("path", [p for wing in LEVEL for p in modules(wing)], ids=lambda p: p.stem)
def test_a_module_imports_its_own_wing_and_lower_floors(path):
    wing = path.parent.name if path.parent.name in LEVEL else "ground"
    for other in wings_of(path):
        assert other == wing or LEVEL[other] < LEVEL[wing], f"{path}: imports {other}"


def test_no_import_runs_in_a_circle():
    code = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)"
    names = [
        f"harmonization.{wing}.{p.stem}" if wing != "ground" else f"harmonization.{p.stem}"
        for wing in LEVEL
        for p in modules(wing)
    ]
    subprocess.run([sys.executable, "-c", code, *names], cwd=ROOT / "scripts", check=True)


@pytest.mark.parametrize("path", sorted((ROOT / "scripts").rglob("*.py")), ids=lambda p: p.stem)
def test_text_is_read_and_written_as_utf_8(path):
    """Not in the encoding of a user's locale: labels and citations have letters beyond ASCII."""
    for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)):
            continue
        constants = [c.value for a in call.args for c in ast.walk(a) if isinstance(c, ast.Constant)]
        binary = "gzip" in ast.unparse(call.func) or any("b" in str(c) for c in constants)
        of_text = ("read_text", "write_text") if binary else ("read_text", "write_text", "open")
        if call.func.attr in of_text:
            given = {keyword.arg for keyword in call.keywords}
            assert "encoding" in given, f"{path}:{call.lineno}: give encoding='utf-8'"


def test_the_plan_imports_neither_numpy_nor_torch():
    code = (
        "import sys, harmonization.plan.plan\n"
        "print([m for m in ('numpy', 'torch', 'pandas', 'nibabel', 'dipy') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT / "scripts",
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == "[]"


HEAVY = ("torch", "pandas", "seaborn", "matplotlib", "dipy.align", "dipy.data", "pytest")
MAY_IMPORT = {
    "fit": ["torch"],
    "predict": ["torch"],
    "register": ["dipy.align", "dipy.data", "pandas", "pytest"],  # dipy.align imports the others
}


@pytest.mark.parametrize(
    "command", ["fit", "predict", "register", "simulate", "fit_sh", "evaluate", "validate_scan"]
)
def test_a_command_that_runs_often_starts_fast(command):
    code = f"import sys, {command}\nprint(*(m for m in {HEAVY} if m in sys.modules))"
    imported = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT / "scripts",
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert set(imported) <= set(MAY_IMPORT.get(command, []))


def test_the_snakefile_imports_the_plan_only():
    text = "".join(path.read_text() for path in [ROOT / "Snakefile", *RULES])
    imported = re.findall(r"^\s*(?:from|import) (harmonization\S*)", text, re.MULTILINE)
    allowed = ("harmonization.plan.", "harmonization.files")
    assert imported
    assert [name for name in imported if not name.startswith(allowed)] == []


def test_common_rules_stay_short():
    assert len((ROOT / "workflow/rules/common.smk").read_text().splitlines()) <= 150


def test_learning_names_no_network():
    names = {path.stem for path in [*modules("networks"), *modules("classical")]}
    for path in modules("learning"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert node.value not in names, f"{path}: names {node.value}"


def rules_of(text):
    """Rules of a rule file: name, the rule that it varies, and its text."""
    blocks = re.split(r"(?m)^[ ]*(?=(?:use )?rule \w+.*:$)", text)
    for block in blocks[1:]:
        base, name, own = re.match(r"(?:use rule (\w+) as (\w+) with|rule (\w+)):", block).groups()
        yield own or name, base, block


def test_a_rule_its_command_and_its_log_bear_one_name():
    served = set()
    for path in RULES:
        for name, base, text in rules_of(path.read_text()):
            commands = re.findall(r"python -m (\w+)", text)
            if base:
                assert name.startswith(f"{base}_"), f"{path}: {name} varies {base}"
            elif commands:
                assert commands == [name], f"{path}: {name} runs {commands}"
                served.add(name)
            if name == "all":
                continue
            logs = re.findall(r'P\.(?:log|benchmark)\(\s*"(\w+)"', text)
            if base and not logs:  # it shares those of its base
                continue
            assert logs == [name, name], f"{path}: {name} has logs or benchmarks {logs}"
    assert served == set(COMMANDS) - BY_HAND


def test_the_architecture_page_is_true():
    page = (ROOT / "ARCHITECTURE.md").read_text()
    assert page == documented(), "run: python scripts/document_architecture.py"


def test_commands_without_a_rule_are_listed():
    contributing = (ROOT / "CONTRIBUTING.md").read_text()
    for command in BY_HAND:
        assert f"`{command}`" in contributing


def test_only_the_evaluation_reads_which_patches_of_the_test_subject_count():
    readers = {
        name
        for path in RULES
        for name, _, text in rules_of(path.read_text())
        if "P.scoring" in text.replace('"split_scoring", P.scoring', "")
    }
    assert readers == {"split_scoring", "evaluate"}
