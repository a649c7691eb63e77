"""Baselines with rules of their own, and every walk-through of docs/adding-a-baseline.md.

They start from the images of the tiny run, so only what they add is made.
"""

import re
import shlex
import shutil
import subprocess
import sys

import pandas as pd
import pytest
import yaml
from conftest import ROOT, copy_workflow, without_test_subject

from harmonization.files import sha256
from harmonization.plan.baselines import find_baselines, read_baseline

PAGE = (ROOT / "docs/adding-a-baseline.md").read_text()
BASELINES = find_baselines(ROOT)
# A block of the page, and the name of the file that it is, if it is one.
BLOCK = re.compile(r"(?:^`([^`\n]+)`:\n\n)?^```(\w+)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
# All that a run shows is made in one of the tests; the others stop at the table.
TABLE = "results/tiny/tables/patch_mse.csv"
needs_r = pytest.mark.skipif(
    not shutil.which("Rscript"), reason="no Rscript here; install r-base-core and r-cran-jsonlite"
)


@pytest.fixture
def place(run, request):
    """The workflow with the tiny run's results, and a configuration without methods."""
    name = re.sub(r"\W+", "-", request.node.name)
    folder = copy_workflow(run[0].with_name(f"baseline-{name}"))
    shutil.copytree(run[0] / "results", folder / "results")
    # By the times of files, a table that is there needs no scores of another method.
    shutil.rmtree((folder / TABLE).parent)
    (folder / "results/tiny/metrics.csv").unlink()
    tiny = yaml.safe_load((ROOT / "tests/tiny.yaml").read_text())
    given = {key: value for key, value in tiny.items() if key not in ("methods", "overrides")}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(given))
    return folder


def snakemake_in(folder, *arguments):
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", "tiny.yaml"]
    return subprocess.run(
        [*command, "mine.yaml", "--rerun-triggers", "mtime", "--config", "run=tiny", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def compare(folder, *methods, **more):
    """Run these methods; give the table of patch MSE, by label."""
    (folder / "mine.yaml").write_text(yaml.safe_dump({"methods": [*methods], **more}))
    result = snakemake_in(folder, "--", TABLE)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return table(folder)


def table(folder):
    return pd.read_csv(folder / TABLE, index_col="method")


def walk(text, folder, *targets):
    """Do what a part of the page says; give the table of patch MSE."""
    for path, language, content in BLOCK.findall(text):
        if path:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(content)
        elif language == "sh":
            program, *arguments = shlex.split(content)
            if program == ".venv/bin/snakemake":
                assert arguments == ["--configfile", "mine.yaml", "--cores", "2"]
                result = snakemake_in(folder, "--", *targets)
            else:
                assert program == ".venv/bin/python"
                result = subprocess.run(
                    [sys.executable, *arguments],
                    cwd=folder,
                    capture_output=True,
                    text=True,
                    check=False,
                )
            assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return table(folder)


def section(number):
    """Text of a section of the page."""
    return re.search(rf"^## {number}\. .*?(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)[0]


def fitted(folder, name):
    """Hashes of what the fits of a baseline wrote."""
    files = read_baseline(folder / f"workflow/baselines/{name}", folder, {})["fitted"]
    return {
        str(path.relative_to(folder)): sha256(path)
        for file in files
        for path in folder.glob(f"results/tiny/models/{name}/*/*/{file}")
    }


def assert_blind(folder, name):
    """A baseline learns nothing from the test subject; `mine.yaml` names it."""
    before = fitted(folder, name)
    assert len(before) == 2  # of two targets
    without_test_subject(folder / "results/tiny")
    shutil.rmtree(folder / f"results/tiny/models/{name}")
    result = snakemake_in(folder, "--", *before)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    assert fitted(folder, name) == before


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_is_scored_like_all_others_and_learns_nothing_from_the_test_subject(place, name):
    said = compare(place, "identity", name)
    label = read_baseline(BASELINES[name], ROOT, {})["label"]
    assert said.loc[label, "prisma_st"] < said.loc["Identity", "prisma_st"]
    assert_blind(place, name)


@pytest.mark.slow
def test_a_baseline_that_cheats_does_not_pass(place):
    fit = place / "workflow/baselines/gain/fit.py"
    honest = "    image = nib.load(folder"
    cheat = '    files = json.loads(json.dumps(files).replace("sub-03", "sub-01"))\n'
    assert honest in fit.read_text()
    fit.write_text(fit.read_text().replace(honest, cheat + honest))
    compare(place, "identity", "gain")
    with pytest.raises(AssertionError, match=r"gains\.csv"):
        assert_blind(place, "gain")


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_first_walk_throughs_work(place, number):
    said = walk(section(number), place, TABLE)
    (new,) = set(said.index) - {"Identity", "Affine"}
    assert said.loc[new, ["prisma_st", "connectom_sa"]].notna().all()


@pytest.mark.slow
def test_a_new_baseline_is_in_the_table_after_two_commands(place):
    said = walk(section(4).partition("### ")[0], place)
    assert said.loc["My method", "prisma_st"] < said.loc["Identity", "prisma_st"]


@pytest.mark.slow
@needs_r
def test_a_baseline_in_r_works_and_is_blind(place):
    said = walk(section(4).partition("### ")[2], place, TABLE)
    # On finer targets, Affine interpolates the source, and this repeats its voxels.
    wanted = pytest.approx(said.loc["Affine", "prisma_st"], rel=0.02)
    assert said.loc["Regression in R", "prisma_st"] == wanted
    assert_blind(place, "regression")


def refused(place, **more):
    """What a dry run of the baseline `gain` says instead."""
    (place / "mine.yaml").write_text(yaml.safe_dump({"methods": ["gain"], **more}))
    result = snakemake_in(place, "--dry-run")
    assert result.returncode != 0
    assert "Traceback" not in result.stderr
    return result.stderr


def overridden(place, **settings):
    return refused(place, overrides={"gain": settings})


def test_wrong_settings_are_refused_before_anything_starts(place):
    assert "did you mean 'smoothing'?" in overridden(place, settings={"smothing": 1})
    said = overridden(place, settings={"smoothing": -1})
    assert "method gain: settings.smoothing: -1 is less than the minimum of 0" in said
    assert "overrides.gain.label: a baseline with rules of its own has" in overridden(
        place, label="Other"
    )
    description = place / "workflow/baselines/gain/baseline.yaml"
    description.write_text(description.read_text().replace("fitted: [gains.csv]\n", ""))
    assert "baseline.yaml: top level: 'fitted' is a required property" in refused(place)
    description.unlink()
    assert "gain/baseline.yaml: is missing" in refused(place)


def test_a_label_that_yaml_reads_as_no_text_is_quoted(clone):
    subprocess.run([sys.executable, clone / "scripts/new_baseline.py", "on"], check=True)
    description = yaml.safe_load((clone / "workflow/baselines/on/baseline.yaml").read_text())
    assert description["label"] == "On"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("My-method", "is no name of a method"),
        ("espcn", "has this name"),
        ("gain", "has this name"),
    ],
)
def test_a_name_that_cannot_be_is_refused(command, name, reason):
    status, error = command("new_baseline", {}, name)
    assert status == 1
    assert reason in error
