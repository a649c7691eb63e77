"""What re-runs what: a job's version follows the code that it uses, and nothing else."""

import shutil

import pytest
from conftest import EMBEDDED, ROOT

from harmonization.files import InputError
from harmonization.plan.baselines import baseline_version
from harmonization.plan.methods import modules_of, read_methods
from harmonization.plan.version import _read, code_version, refuse_code_in_packages

METHODS = read_methods(EMBEDDED, ROOT)


@pytest.fixture
def scripts(tmp_path):
    return shutil.copytree(ROOT / "scripts", tmp_path / "scripts")


def version(scripts, command, method=None):
    _read.cache_clear()
    return code_version(scripts, command, modules_of(METHODS[method], METHODS) if method else ())


def versions(scripts):
    jobs = [("make_table", None), ("evaluate", None)]
    jobs += [(command, method) for command in ("fit", "predict") for method in ("espcn", "ridge")]
    jobs += [("fit", "msp_espcn"), ("fit", "mtl_hard")]
    return {job: version(scripts, *job) for job in jobs}


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_comments_docstrings_and_layout_change_nothing(scripts):
    before = versions(scripts)
    path = scripts / "harmonization/learning/training.py"
    path.write_text(
        f'"""Other words."""\n{path.read_text().split(chr(34) * 3, 2)[2]}# A comment.\n'
    )
    edit(path, "Progress(0, 0,", "Progress(0,   0,")
    assert versions(scripts) == before


def test_another_check_of_a_run_simulates_nobody_anew(scripts):
    before = [version(scripts, command) for command in ("build_atlas", "simulate")]
    edit(scripts / "harmonization/plan/configuration.py", "def merge(", "def merged(")
    assert [version(scripts, command) for command in ("build_atlas", "simulate")] == before


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("images/nifti.py", "cannot be read as NIfTI", "is no image"),
        ("learning/training.py", "lower the learning rate", "look elsewhere"),
    ],
)
def test_the_text_of_an_error_changes_nothing(scripts, module, old, new):
    before = versions(scripts)
    edit(scripts / "harmonization" / module, old, new)
    assert versions(scripts) == before


def test_what_an_error_depends_on_does_count(scripts):
    before = versions(scripts)
    edit(scripts / "harmonization/images/nifti.py", "if not path.exists():", "if path.exists():")
    assert not set(versions(scripts).values()) & (
        set(before.values()) - {before["make_table", None]}
    )


def test_a_network_concerns_the_methods_that_use_it(scripts):
    before = versions(scripts)
    edit(
        scripts / "harmonization/networks/multi_stage.py", "torch.ones(shape)", "torch.zeros(shape)"
    )
    after = versions(scripts)
    assert {job for job in before if after[job] != before[job]} == {("fit", "msp_espcn")}

    before = after
    edit(scripts / "harmonization/networks/espcn.py", "nn.ReLU()", "nn.GELU()")
    after = versions(scripts)
    assert {job for job in before if after[job] != before[job]} == {
        ("fit", "espcn"),
        ("predict", "espcn"),
        ("fit", "msp_espcn"),
        ("fit", "mtl_hard"),
    }


def test_a_new_network_concerns_nobody(scripts):
    before = versions(scripts)
    networks = scripts / "harmonization/networks"
    shutil.copy(networks / "espcn.py", networks / "another.py")
    assert versions(scripts) == before


def test_code_in_a_package_is_refused(scripts):
    refuse_code_in_packages(scripts)
    package = scripts / "harmonization/learning/__init__.py"
    package.write_text(package.read_text() + "WIDTH = 3\n")
    with pytest.raises(InputError, match=r"learning/__init__\.py: holds code"):
        refuse_code_in_packages(scripts)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("from .espcn import Espcn\n", "line 1: a job's version does not follow a relative import"),
        ("from . import espcn\n", "import from harmonization by the whole name"),
        ("\ndef (\n", r"line 2: is no Python \(invalid syntax\); correct it"),
        ("# M\xfcller\n", "is no text in UTF-8"),
    ],
)
def test_code_that_cannot_be_followed_is_named(scripts, code, message):
    path = scripts / "harmonization/networks/another.py"
    path.write_bytes(code.encode("latin-1"))
    with pytest.raises(InputError, match=message) as error:
        code_version(scripts, "fit", ["harmonization.networks.another"])
    assert str(error.value).startswith(f"{path}: ")


def test_a_baseline_runs_again_after_a_change_of_anything_but_its_words(tmp_path):
    folder = shutil.copytree(ROOT / "workflow/baselines/gain", tmp_path / "gain")
    before = baseline_version(folder)
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__/fit.pyc").touch()
    edit(folder / "baseline.yaml", "label: Gain", "label: Mine")
    assert baseline_version(folder) == before
    edit(folder / "baseline.yaml", "default: ", "default: 1")
    settings = baseline_version(folder)
    (folder / "__main__.py").touch()
    assert len({before, settings, baseline_version(folder)}) == 3


def test_all_ways_to_import_are_followed(scripts):
    (scripts / "one.py").write_text("import harmonization.seeds\n")
    before = version(scripts, "one")
    edit(scripts / "harmonization/seeds.py", ">> 1", ">> 2")
    assert version(scripts, "one") != before
