# What the rules share: the checked configuration, paths, which jobs there are, and input functions.
import json
import os
import sys
from pathlib import Path

ROOT = Path(workflow.basedir)
SCRIPTS = ROOT / "scripts"
sys.path.insert(0, str(SCRIPTS))

from snakemake.exceptions import WorkflowError

from harmonization.configuration import (
    RAW,
    check_run,
    code_version,
    read_methods,
    written_platforms,
)
from harmonization.files import InputError
from harmonization.folds import parts_of_fold
from harmonization.mushac import released_scan
from harmonization.paths import RunPaths, Scan
from harmonization.phantom.parameters import check_dataset, read_parameters
from harmonization.studies import (
    FoundScan,
    choose_subjects,
    find_raw_scan,
    find_scan,
    raw_scan,
)

# Jobs find the Python that runs Snakemake, for one pinned environment runs everything, and the
# commands as modules, wherever the working directory lies; nothing in it can stand in for them.
os.environ.update(
    PATH=os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()]),
    PYTHONPATH=str(SCRIPTS),
    PYTHONSAFEPATH="1",
)

try:
    config.update(check_run(config, ROOT))
    METHODS = read_methods(config, ROOT)
    KIND, wanted = config["dataset"]["kind"], config["dataset"]["subjects"]
    SIMULATED = KIND == "phantom"
    IS_RAW = KIND in RAW
    if SIMULATED:
        check_dataset(config, read_parameters(ROOT / config["dataset"]["parameters"]))
        SUBJECTS = [f"{n:02d}" for n in range(1, wanted + 1)]
    else:
        DATA = Path(config["dataset"]["root"])
        prefix = "" if KIND == "mushac" else "sub-"
        to_come = KIND == "openneuro"
        SUBJECTS = wanted if to_come else choose_subjects(DATA, wanted, prefix)
except InputError as error:
    raise WorkflowError(str(error)) from None

PHANTOM = os.path.relpath(ROOT / config["dataset"]["parameters"])
P = RunPaths(f"results/{config['run']}")
RAW_PLATFORMS = config["platforms"]
PLATFORMS = written_platforms(RAW_PLATFORMS) if IS_RAW else RAW_PLATFORMS
STEPS = [s for s in ("denoising", "ringing", "motion") if config["preprocessing"][s]]
SOURCE, TARGETS = config["source"], config["targets"]
SCALES = {target: PLATFORMS[target]["scale"] for target in TARGETS}
PROGRAM = config["registration"]["program"]
FOLDS = range(config["cross_validation"]["folds"])

MODELLED = [name for name, method in METHODS.items() if "network" in method]
TRAINED = [name for name in MODELLED if "training" in METHODS[name]]
SCANNED = [name for name, method in METHODS.items() if "scan" in method]


def one_of(names):
    """Constraint of a wildcard to names; to nothing at all where there is none."""
    return "|".join(names) or "(?!)"


wildcard_constraints:
    subject="[A-Za-z0-9]+",
    session="[A-Za-z0-9]+",
    acquisition="[A-Za-z0-9]+",
    run="[0-9]+",
    scan="scan|rescan|truth",
    platform="|".join(PLATFORMS),
    target="|".join([*TARGETS, "all"]),
    fold="[0-9]+",
    seed="[0-9]+",


def as_json(settings):
    """Settings as a command's argument; their order, which means nothing, re-makes nothing."""
    return json.dumps(settings, sort_keys=True)


def options(files):
    """Named files as options of a command: `dwi` becomes --dwi."""
    return " ".join(
        f"--{role.replace('_', '-')} {file}" for role, file in files.items()
    )


def version(command):
    """What a command does, as a parameter of its rule: other code may give other results."""
    return code_version(SCRIPTS / f"{command}.py")


def found(find, subject, platform):
    """What `find` finds of a scan in the user's data."""
    try:
        return find(DATA, subject, platform, RAW_PLATFORMS[platform])
    except InputError as error:
        raise WorkflowError(str(error)) from None


def scan_of(subject, platform, scan="scan"):
    """Files of a subject's scan on a platform, at the resolution that the run uses."""
    original = original_scan(subject, platform, scan)
    if "crop" not in PLATFORMS[platform]:
        return original
    return FoundScan(
        dwi=P.cropped.format(subject=subject, platform=platform),
        mask=P.cropped_mask.format(subject=subject, platform=platform),
        bval=original.bval,
        bvec=original.bvec,
        sidecar=original.sidecar,
    )


def original_scan(subject, platform, scan="scan"):
    """Files of a subject's scan on a platform, as it came."""
    if KIND == "bids":
        return found(find_scan, subject, platform)
    return Scan(
        P.bids,
        subject,
        PLATFORMS[platform]["session"],
        PLATFORMS[platform]["acquisition"],
        run="2" if scan == "rescan" else "1",
        truth=scan == "truth",
    )


def platform_of(wildcards):
    """Platform whose scans have the session and acquisition of a file name."""
    for name, platform in PLATFORMS.items():
        if (platform["session"], platform["acquisition"]) == (
            wildcards.session,
            wildcards.acquisition,
        ):
            return name
    raise WorkflowError(
        f"no platform in the configuration has session {wildcards.session} and acquisition "
        f"{wildcards.acquisition}"
    )


def platform_from(wildcards):
    """Platform of a scan whose file names say it, or its session and acquisition."""
    return dict(wildcards.items()).get("platform") or platform_of(wildcards)


def raw_files(subject, platform):
    """Files of a scan before its preprocessing, by role; those that the data set has."""
    if KIND == "openneuro":
        files = raw_scan(subject, RAW_PLATFORMS[platform])
        return {role: f"{DATA}/{path}" for role, path in files.items()}
    scan = found(find_raw_scan, subject, platform)
    return {role: file for role, file in vars(scan).items() if file}


def before(step):
    """A raw scan as it is before a step of its preprocessing; `None` is after all of them."""

    def find(wildcards):
        done = STEPS[: STEPS.index(step)] if step else STEPS
        platform = platform_from(wildcards)
        if not done:
            return raw_files(wildcards.subject, platform)["dwi"]
        return P.step(done[-1]).format(subject=wildcards.subject, platform=platform)

    return find


def raw_file(role):
    """A file of a raw scan, or nothing where the data set has none."""

    def find(wildcards):
        files = raw_files(wildcards.subject, platform_from(wildcards))
        return files.get(role, [])

    return find


def gradients(kind):
    """Gradient table of a preprocessed scan: its motion turns the directions."""

    def find(wildcards):
        platform = platform_of(wildcards)
        if "motion" not in STEPS:
            return raw_files(wildcards.subject, platform)[kind]
        return P.step("motion", kind).format(
            subject=wildcards.subject, platform=platform
        )

    return find


def given_mask(wildcards):
    """Brain mask that a raw data set must have where none is made."""
    if config["preprocessing"]["mask"]:
        return []
    return found(find_scan, wildcards.subject, platform_of(wildcards)).mask


def parts(fold):
    """Subjects of each part of a fold."""
    return parts_of_fold(
        SUBJECTS, int(fold), config["cross_validation"]["validation_subjects"]
    )


def seeds(method):
    """A method without randomness has seed 0 only."""
    return range(config["cross_validation"]["seeds"]) if method in TRAINED else [0]


def fitted_settings(method):
    """What decides a method's models; another label or citation fits nothing anew."""
    parts_of_fit = ("network", "training", "least_squares")
    return {key: METHODS[method][key] for key in parts_of_fit if key in METHODS[method]}


def model_target(method, target):
    """A multi-task method has one model for all targets."""
    return "all" if METHODS[method]["family"] == "multi_task" else target


def models(method, fold, pattern):
    """Files of a method's models of a fold, all targets and seeds."""
    targets = dict.fromkeys(model_target(method, target) for target in TARGETS)
    return expand(pattern, method=method, target=targets, fold=fold, seed=seeds(method))


def fitted_models():
    """Weights of every model: a deleted one is made anew."""
    return [
        file
        for name in MODELLED
        for fold in FOLDS
        for file in models(name, fold, P.weights)
    ]


def predicted(pattern, methods=None, targets=TARGETS, folds=FOLDS, limit_seeds=None):
    """Files of the test predictions, in the order of the tables."""
    return [
        file
        for method in methods or config["methods"]
        for target in targets
        for fold in folds
        for file in expand(
            pattern,
            method=method,
            target=target,
            fold=fold,
            seed=seeds(method)[:limit_seeds],
            subject=parts(fold)["test"],
        )
    ]


def source_slab():
    """Slab of the source's scan, as an option."""
    if config["dataset"]["slab"] is None:
        return ""
    return "--slab {centre} {thickness}".format(**config["dataset"]["slab"])


def slab(wildcards):
    """Slab to scan. A target's reaches further, so that it covers the source's wherever that lies."""
    if config["dataset"]["slab"] is None or platform_of(wildcards) == SOURCE:
        return source_slab()
    return f"{source_slab()} --overhang"


def registered():
    """Scans that are registered, as (subject, platform, scan): those that are predicted or shown."""
    scans = [(subject, target, "scan") for subject in SUBJECTS for target in TARGETS]
    if "rescan" in [METHODS[name]["scan"] for name in SCANNED]:
        tested = [subject for fold in FOLDS for subject in parts(fold)["test"]]
        scans += [
            (subject, target, "rescan") for subject in tested for target in TARGETS
        ]
    return scans


def of_registered(pattern, subject=None):
    """Files of the registered scans, of one subject or of all."""
    return [
        pattern.format(subject=person, platform=platform, scan=scan)
        for person, platform, scan in registered()
        if subject in (None, person)
    ]


def scan_to_fit(wildcards):
    """A scan, the source's brain mask that defines the grid, and the way from there to the scan."""
    scan = scan_of(wildcards.subject, wildcards.platform, wildcards.scan)
    files = {"dwi": scan.dwi, "bval": scan.bval, "bvec": scan.bvec, "mask": scan.mask}
    files |= {"grid": scan_of(wildcards.subject, SOURCE).mask}
    if wildcards.platform != SOURCE:
        # The truth lies where the first scan lies, so it takes its transform, errors included.
        registered = "rescan" if wildcards.scan == "rescan" else "scan"
        files["transform"] = P.transform.format(
            scan=registered, subject=wildcards.subject, platform=wildcards.platform
        )
    return files


def released(wildcards):
    """Files of a scan in the released tree of the cross-scanner database."""
    return found(released_scan, wildcards.subject, platform_of(wildcards))


def scans_to_validate(wildcards):
    """All files of the scans that the run uses, and for an import the data set's description."""
    used = [SOURCE, *TARGETS]
    scans = [original_scan(s, platform) for s in SUBJECTS for platform in used]
    if KIND == "bids":
        return [file for scan in scans for file in vars(scan).values() if file]
    files = [file for scan in scans for file in [*scan.series.values(), scan.mask]]
    return [P.dataset_description, *files]


def raw_scans_to_validate(wildcards):
    """All files of the raw scans that the run uses, and their data set's description."""
    files = [
        file
        for subject in SUBJECTS
        for platform in [SOURCE, *TARGETS]
        for file in raw_files(subject, platform).values()
    ]
    return [f"{DATA}/{Path(P.dataset_description).name}", *files]


def validation_settings(platforms, kind):
    """What the validation of a data set must know of the run."""
    harmonics = config["spherical_harmonics"]
    return as_json(
        {
            "dataset": {"kind": kind, "root": str(DATA), "subjects": wanted},
            "platforms": platforms,
            "source": SOURCE,
            "targets": TARGETS,
            "spherical_harmonics": {key: harmonics[key] for key in ("shell", "order")},
        }
    )


def sh_settings(wildcards):
    """Settings of a scan's spherical harmonics: its platform may have a shell of its own."""
    shell = PLATFORMS[wildcards.platform].get("shell")
    return {**config["spherical_harmonics"], **({"shell": shell} if shell else {})}


def validated():
    """What must be there before anything expensive: a phantom is fit for use by construction."""
    # Ancient: to look once more at the same scans makes nothing else anew.
    return [] if SIMULATED else [ancient(P.validation)]


def references(wildcards):
    """What only a phantom knows of a target: its noise-free truth, and tissue."""
    if not SIMULATED:
        return {}
    return {
        "truth": P.sh.format(
            scan="truth", subject=wildcards.subject, platform=wildcards.target
        ),
        "tissue": scan_of(wildcards.subject, SOURCE).tissue,
    }


def learners(wildcards):
    """Images of the training and validation subjects of a fold: the test subject's are not among them."""
    subjects = parts(wildcards.fold)["train"] + parts(wildcards.fold)["validation"]
    return expand(
        [P.sh, P.sh_mask, P.sh_sidecar],
        scan="scan",
        subject=subjects,
        platform=[SOURCE, *TARGETS],
    )


def component_folders(wildcards):
    """Models that a method builds on: of its own target or of all, same fold and seed."""
    built_on = METHODS[wildcards.method].get("builds_on")
    if not built_on:
        return []
    targets = [wildcards.target] if built_on["targets"] == "own" else TARGETS
    return expand(
        P.model,
        method=built_on["method"],
        target=targets,
        fold=wildcards.fold,
        seed=wildcards.seed,
    )


def components(wildcards):
    """Files of the models that a method builds on."""
    return [
        f"{folder}/{Path(P.weights).name}" for folder in component_folders(wildcards)
    ]


def model_of(pattern):
    """The file of the model that makes a prediction."""

    def find(wildcards):
        target = model_target(wildcards.method, wildcards.target)
        return pattern.format(**dict(wildcards.items()) | {"target": target})

    return find


def brains_to_score(wildcards):
    """Brain mask of the measured target; of a control that is a scan also its own."""
    own = METHODS[wildcards.method].get("scan")
    return expand(
        P.sh_mask,
        scan=["scan", own] if own else "scan",
        subject=wildcards.subject,
        platform=wildcards.target,
    )
