"""The scans of a run, without Snakemake: where they come from, and their files."""

import re
import shutil

import pytest
import yaml
from conftest import EMBEDDED, ROOT
from plans import plan, run

from harmonization.files import InputError
from harmonization.plan.configuration import merge


def test_the_truth_takes_the_transform_of_the_scan_and_a_rescan_its_own():
    made = plan()
    ways = {
        scan: made.scans.scan_to_fit("01", "prisma_st", scan).get("transform")
        for scan in ("scan", "truth", "rescan")
    }
    assert ways["truth"] == ways["scan"] != ways["rescan"]
    assert "transform" not in made.scans.scan_to_fit("01", "ge_st", "scan")


def test_a_platform_may_have_a_shell_of_its_own():
    made = run("open", platforms={"ingenia": {"shell": 2000}})
    assert made.scans.sh_settings("ingenia")["shell"] == 2000
    assert made.scans.sh_settings("trio")["shell"] == 1000


def test_steps_of_the_preprocessing_follow_each_other():
    made = run("open", preprocessing={"ringing": False})
    before = [
        made.scans.before_step(step, "03286", "trio") for step in ("denoising", "motion", None)
    ]
    assert before[0].startswith("results/downloads/ds004712/sub-03286/ses-OXF3TRI001/dwi/")
    assert "/denoising/" in before[1]
    assert "/motion/" in before[2]
    assert "/motion/" in made.scans.gradients("bvec")
    off = dict.fromkeys(("ringing", "motion"), False)
    still = run("open", denoising="none", preprocessing=off)
    assert still.scans.before_step(None, "03286", "trio") == before[0]
    assert still.scans.gradients("bvec") == still.paths.valid("bvec", "raw")


def test_raw_scans_are_denoised_once_and_first():
    made = run("open", denoising="source")
    assert made.scans.steps("trio") == ["denoising", "ringing", "motion"]
    assert made.scans.steps("ingenia") == ["ringing", "motion"]
    assert made.scans.changes == "denoising, ringing, motion"
    assert "/bids/" in made.scans.scan("03286", "trio").dwi
    assert "denoising" not in run("open", denoising="none").scans.changes


@pytest.mark.parametrize(
    ("denoising", "source", "target"),
    [("none", False, False), ("source", True, False), ("targets", False, True), ("both",) * 3],
)
def test_scans_are_denoised_on_request(denoising, source, target):
    made = plan(denoising=denoising)
    for platform, wanted in (("ge_st", source), ("prisma_st", target)):
        for scan in ("scan", "rescan"):
            series = made.scans.scan("01", platform, scan).dwi
            assert (f"/denoised/{scan}/" in series) == bool(wanted)
        # There is no noise to remove.
        assert "/bids/" in made.scans.scan("01", platform, "truth").dwi
    assert (
        made.scans.to_register("01", "prisma_st", "scan")[0]
        == made.scans.scan("01", "prisma_st").dwi
    )
    # The control is the same scan again where the source is denoised.
    assert ("denoised" in made.methods) == ("denoised" in made.config["methods"]) != bool(source)


def test_a_control_may_read_a_variant_of_the_source():
    made = plan()
    assert "/denoised/scan/" in made.scans.scan_to_fit("01", "ge_st", "denoised")["dwi"]
    assert "desc-truth" in made.scans.scan_to_fit("01", "ge_st", "truth")["dwi"]
    lower = run("open_sr", denoising="none", methods=["denoised"])
    assert "/cropped/denoised/" in lower.scans.scan("03286", "trio", "denoised").dwi
    assert "/denoised/scan/" in lower.scans.full_scan("03286", "trio", "denoised").dwi


@pytest.mark.parametrize(("name", "denoised"), [("open_sr", False), ("open", True)])
def test_a_source_that_is_cropped_was_not_denoised_last(name, denoised):
    """Who applies a model denoises a scan only at the resolution at which the run did."""
    made = run(name, denoising="none", methods=["denoised", "identity"])
    told = {method: made.fit_settings(method)["input"] for method in made.methods}
    assert told["denoised"] == {"denoised": denoised, "noise_free": False}
    assert told["identity"] == {"denoised": False, "noise_free": False}
    assert plan().fit_settings("noise_free")["input"]["noise_free"]


def test_two_platforms_of_one_scan_are_refused():
    """The source would be its own target."""
    again = {"platforms": {"prisma_st": {"session": "ge", "acquisition": "st"}}}
    with pytest.raises(InputError, match=r"platforms.prisma_st: its scan is that of 'ge_st', res"):
        plan(**again)
    only = {"targets": ["trio"], "methods": ["identity"]}
    one = run("open").scans.raw_platforms["trio"]
    with pytest.raises(InputError, match=r"platforms.trio: its scan is that of 'again'"):
        run("open", platforms={"again": one}, source="again", **only)
    # A lower resolution or another shell of it is a source all the same.
    for other in {"crop": 2}, {"shell": 500}:
        run("open", platforms={"again": {**one, **other}}, source="again", **only)


def test_scans_of_lower_resolution_take_the_place_of_the_original_ones():
    made = run("open_sr")
    assert "/cropped/" in made.scans.scan("03286", "trio").dwi
    assert "/bids/" in made.scans.original_scan("03286", "trio").dwi
    assert "/validated/" in made.scans.original_scan("03286", "trio").mask
    assert "/bids/" in made.scans.scan("03286", "prisma_32ch").dwi


def test_the_slab_of_a_target_reaches_further():
    made = plan()
    assert made.scans.slab_options("ge_st") == "--slab 20.0 12.0"
    assert made.scans.slab_options("prisma_st") == "--slab 20.0 12.0 --overhang"
    assert plan(dataset={"slab": None}).scans.slab_options("prisma_st") == ""


def test_platforms_are_found_by_their_names_in_bids():
    made = plan()
    assert made.scans.platform_named("connectom", "sa") == "connectom_sa"
    with pytest.raises(InputError, match="no platform of this run has session x"):
        made.scans.platform_named("x", "sa")


def test_a_platform_that_the_run_leaves_out_may_have_the_same_names(tmp_path):
    """Snakemake adds one's own platforms to those of the embedded run."""
    parameters = yaml.safe_load((ROOT / EMBEDDED["dataset"]["parameters"]).read_text())
    parameters["platforms"]["mine"] = parameters["platforms"]["ge_st"]
    (tmp_path / "phantom.yaml").write_text(yaml.safe_dump(parameters))
    made = plan(
        dataset={"parameters": str(tmp_path / "phantom.yaml")},
        platforms={"mine": {"session": "ge", "acquisition": "st", "scale": 1}},
        source="mine",
    )
    assert made.scans.platform_named("ge", "st") == "mine"


def touch_study(root, masks=True):
    """Make empty files with a data set's names, as their content does not matter here."""
    for subject in ("01", "02", "03"):
        for session in ("old", "new"):
            folder = root / f"sub-{subject}/ses-{session}/dwi"
            folder.mkdir(parents=True)
            stem = f"sub-{subject}_ses-{session}_desc"
            ends = ["preproc_dwi.nii.gz", "preproc_dwi.bval", "preproc_dwi.bvec"]
            for end in [*ends, *(["brain_mask.nii.gz"] if masks else [])]:
                (folder / f"{stem}-{end}").touch()


STUDY = {
    "run": "study",
    "dataset": {"kind": "bids", "subjects": 3},
    "platforms": {"a": {"session": "old", "scale": 1}, "b": {"session": "new", "scale": 2}},
    "source": "a",
    "targets": ["b"],
    "methods": ["ridge"],
}


def test_scans_of_ones_own_are_found(tmp_path):
    touch_study(tmp_path / "study")
    made = plan(EMBEDDED, **merge(STUDY, {"dataset": {"root": str(tmp_path / "study")}}))
    scan = made.scans.scan("02", "b")
    assert scan.dwi.endswith("study/sub-02/ses-new/dwi/sub-02_ses-new_desc-preproc_dwi.nii.gz")
    assert made.scans.given_scan("02", "b")["mask"].endswith("_desc-brain_mask.nii.gz")
    # Gradients and mask are read as the validation writes them.
    assert scan.mask == "results/study/validated/sub-02_platform-b_mask.nii.gz"
    assert scan.bvec == "results/study/validated/sub-02_platform-b.bvec"
    assert len(made.scans.reports()) == 3 * 2
    assert set(made.to_score("ridge", "02")) == {"measured", "mask", "sidecar"}


@pytest.mark.parametrize(
    ("wanted", "notes"),
    [
        (3, ["Uses 3 of 4 subjects (dataset.subjects)."]),
        (["01", "03", "04"], ["Uses 3 of 4 subjects (dataset.subjects)."]),
        (4, []),
    ],
)
def test_it_is_said_how_many_subjects_of_a_data_set_are_used(tmp_path, wanted, notes):
    touch_study(tmp_path / "study")
    shutil.copytree(tmp_path / "study/sub-03", tmp_path / "study/sub-04")
    for path in (tmp_path / "study/sub-04").rglob("sub-03*"):
        path.rename(path.with_name(path.name.replace("sub-03", "sub-04")))
    dataset = {"root": str(tmp_path / "study"), "subjects": wanted}
    assert plan(EMBEDDED, **merge(STUDY, {"dataset": dataset})).notes() == notes


def test_a_phantom_has_no_more_subjects_than_its_run():
    assert plan().notes() == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset": {"root": "nowhere"}}, "nowhere: no such folder; change dataset.root"),
        ({"run": "embedded"}, "run: results/embedded is the phantom's; give `run` a name of its"),
        ({"dataset": {"root": None}}, "dataset.root: kind bids needs the data set's folder"),
        ({"dataset": {"subjects": 4}}, "holds 3 subjects, dataset.subjects asks for 4"),
        ({"platforms": {"a": {"run": "3"}}}, "no scan on platform a"),
        ({"methods": ["truth"]}, "methods: truth: only a phantom has this scan; leave it out"),
    ],
)
def test_a_data_set_that_does_not_fit_the_configuration_is_named(tmp_path, change, message):
    touch_study(tmp_path / "study")
    study = merge(STUDY, {"dataset": {"root": str(tmp_path / "study")}})
    with pytest.raises(InputError, match=message):
        plan(EMBEDDED, **merge(study, change))


@pytest.mark.parametrize(
    ("given", "hint"),
    [("session: 01", True), ("run: 1", True), ("session: '02'", False), ("session: x", False)],
)
def test_a_label_that_yaml_read_as_a_number_should_be_quoted(tmp_path, given, hint):
    touch_study(tmp_path / "study")
    for path in sorted((tmp_path / "study").rglob("*"), reverse=True):
        path.rename(path.with_name(re.sub("ses-old(?=$|_)", "ses-01", path.name)))
    for path in (tmp_path / "study").rglob("*ses-01_*"):
        path.rename(path.with_name(path.name.replace("ses-01", "ses-01_run-01")))
    platforms = {"a": {"session": "01"} | yaml.safe_load(given)}
    study = merge(STUDY, {"dataset": {"root": str(tmp_path / "study")}, "platforms": platforms})
    with pytest.raises(InputError, match="no scan on platform a") as error:
        plan(EMBEDDED, **study)
    assert str(error.value).endswith("a number: put labels in quotes)") == hint


def test_a_raw_data_set_needs_masks_only_where_none_are_made(tmp_path):
    touch_study(tmp_path / "study", masks=False)
    study = merge(STUDY, {"dataset": {"kind": "raw", "root": str(tmp_path / "study")}})
    for path in (tmp_path / "study").rglob("*_desc-preproc*"):
        path.rename(path.with_name(path.name.replace("_desc-preproc", "")))
    assert "mask" not in plan(EMBEDDED, **study).scans.found("01", "a")
    with pytest.raises(InputError, match="has no brain mask"):
        plan(EMBEDDED, **merge(study, {"preprocessing": {"mask": False}}))


def test_preprocessed_scans_are_not_preprocessed_again(tmp_path):
    touch_study(tmp_path / "study")
    study = merge(STUDY, {"dataset": {"kind": "raw", "root": str(tmp_path / "study")}})
    said = r"preproc_dwi\.nii\.gz: is preprocessed already; give dataset.kind: bids, or turn off "
    with pytest.raises(InputError, match=f"{said}ringing and motion$"):
        plan(EMBEDDED, **study)
    # Scans without a mask of their own may have one made.
    off = {"preprocessing": {"ringing": False, "motion": False}}
    assert plan(EMBEDDED, **merge(study, off)).scans.steps("a") == []
