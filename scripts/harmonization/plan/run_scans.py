"""The scans of a run: where they come from, and the files of each of their stages."""

import os
from collections.abc import Iterable
from pathlib import Path

from harmonization.files import InputError, sha256
from harmonization.plan.mushac import released_scan
from harmonization.plan.paths import BidsScan, RunPaths
from harmonization.plan.phantom import check_phantom, read_parameters
from harmonization.plan.scans import (
    FoundScan,
    bvec_convention,
    choose_subjects,
    entities_of,
    find_raw_scan,
    find_scan,
    labels_of_subjects,
    raw_scan,
    refuse_shared_scans,
)
from harmonization.plan.schemas import Settings
from harmonization.plan.sources import SOURCES, platforms_as_bids

PREPROCESSING_STEPS = ("denoising", "ringing", "motion")
SMALL_FILE = 1_000_000  # bytes; a smaller file is known by its content, a larger one by its date


class RunScans:
    """The scans of a run: where they come from, and the files of each of their stages.

    Subjects and platforms are named as in the configuration; a *scan* as in `RunPaths`.

    Parameters
    ----------
    config : dict
        The merged configuration, checked.
    paths : RunPaths
    root : Path
        Root of the repository.

    Raises
    ------
    InputError
        If a scan that the run needs is missing, or would stand for two.
    """

    def __init__(self, config: Settings, paths: RunPaths, root: Path) -> None:
        self.config = config
        self.paths = paths
        dataset = config["dataset"]
        self.kind: str = dataset["kind"]
        self.data_source = SOURCES[self.kind]
        self.data = Path(dataset["root"] or "")
        self.phantom_parameters = os.path.relpath(root / dataset["parameters"])
        self.raw_platforms: Settings = config["platforms"]
        self.platforms = (
            platforms_as_bids(self.raw_platforms) if self.data_source.is_raw else self.raw_platforms
        )
        self.source: str = config["source"]
        self.targets: list[str] = config["targets"]
        self.used_platforms = [self.source, *self.targets]
        self.subjects = self._choose_subjects()
        self._found = {
            (subject, platform): self._find(subject, platform)
            for subject in self.subjects
            for platform in self.used_platforms
            if not self.data_source.simulated
        }
        for subject in self.subjects:
            series = {name: self._series(subject, name) for name in self.used_platforms}
            refuse_shared_scans(self.platforms, series)

    def _choose_subjects(self) -> list[str]:
        wanted = self.config["dataset"]["subjects"]
        if self.data_source.simulated:
            check_phantom(self.config, read_parameters(Path(self.phantom_parameters)))
            return [f"{number:02d}" for number in range(1, wanted + 1)]
        if self.kind == "openneuro":
            return wanted
        return choose_subjects(self.data, wanted, self.data_source.subject_prefix)

    @property
    def held(self) -> int:
        """Number of subjects that the data set holds; of one that is not here, those of the run."""
        if self.data_source.simulated or self.kind == "openneuro":
            return len(self.subjects)
        return len(labels_of_subjects(self.data, self.data_source.subject_prefix))

    def _find(self, subject: str, platform: str) -> dict[str, str]:
        """Files of a scan in the user's data, by role; those that it lacks are left out."""
        entities = self.raw_platforms[platform]
        if self.kind == "openneuro":
            files = raw_scan(subject, entities)
            return {role: f"{self.data}/{path}" for role, path in files.items()}
        if self.kind == "mushac":
            return released_scan(self.data, subject, platform, entities)
        needs_mask = self.kind == "bids" or not self.config["preprocessing"]["mask"]
        find = find_scan if needs_mask else find_raw_scan
        files = vars(find(self.data, subject, platform, entities))
        again = self.steps(platform)
        described = entities_of(Path(files["dwi"])).get("desc")
        if self.kind == "raw" and described == "preproc" and again:
            raise InputError(
                f"{files['dwi']}: is preprocessed already; give dataset.kind: bids, or turn off "
                f"{' and '.join(again)}"
            )
        return {role: file for role, file in files.items() if file}

    def _series(self, subject: str, platform: str) -> str:
        """The series that a scan starts from: the user's, or one that is simulated."""
        if self.data_source.simulated:
            return self.imported_scan(subject, platform).dwi
        return self.found(subject, platform)["dwi"]

    def platform_named(self, session: str, acquisition: str) -> str:
        """Platform of the run whose scans have these BIDS entities.

        Raises
        ------
        InputError
            If the run has no such platform.
        """
        for name in self.used_platforms:
            platform = self.platforms[name]
            if (platform["session"], platform["acquisition"]) == (session, acquisition):
                return name
        raise InputError(
            f"no platform of this run has session {session} and acquisition {acquisition}"
        )

    def found(self, subject: str, platform: str) -> dict[str, str]:
        """Files of a scan in the user's data, by role."""
        return self._found[subject, platform]

    def imported_scan(self, subject: str, platform: str, scan: str = "scan") -> BidsScan:
        """Files of a scan in the data set that the workflow makes or imports."""
        return BidsScan(
            self.paths.bids,
            subject,
            self.platforms[platform]["session"],
            self.platforms[platform]["acquisition"],
            run="2" if scan == "rescan" else "1",
            truth=scan == "truth",
        )

    def given_scan(self, subject: str, platform: str) -> dict[str, str]:
        """Files of a scan before its validation, by role."""
        if self.kind == "bids":
            return self.found(subject, platform)
        scan = self.imported_scan(subject, platform)
        return {**scan.series, "mask": scan.mask}

    def is_denoised(self, platform: str) -> bool:
        """Whether the run denoises the scans of a platform."""
        part = "source" if platform == self.source else "targets"
        return self.config["denoising"] in (part, "both")

    def reads_denoised(self, reads: str) -> bool:
        """Whether a method is given sources whose last preprocessing was denoising."""
        if "crop" in self.platforms[self.source]:
            return False  # denoised at their acquired resolution, and cropped then
        before = self.data_source.is_raw  # raw scans are denoised first
        return reads == "denoised" or (self.is_denoised(self.source) and not before)

    def original_scan(
        self, subject: str, platform: str, scan: str = "scan"
    ) -> FoundScan | BidsScan:
        """Files of a scan as it was acquired, validated unless it is simulated."""
        if self.data_source.simulated:
            return self.imported_scan(subject, platform, scan)
        valid = {
            role: self.paths.valid(role).format(subject=subject, platform=platform)
            for role in ("bval", "bvec", "mask", "sidecar")
        }
        return FoundScan(dwi=self.given_scan(subject, platform)["dwi"], **valid)

    def full_scan(self, subject: str, platform: str, scan: str = "scan") -> FoundScan | BidsScan:
        """Files of a scan at its acquired resolution, with less noise if the run asks for it."""
        acquired = "scan" if scan == "denoised" else scan
        original = self.original_scan(subject, platform, acquired)
        # Raw scans are denoised before their other steps.
        here = self.is_denoised(platform) and not self.data_source.is_raw and scan != "truth"
        if not here and scan != "denoised":
            return original
        denoised = self.paths.denoised.format(scan=acquired, subject=subject, platform=platform)
        return FoundScan(denoised, original.bval, original.bvec, original.mask)

    def scan(self, subject: str, platform: str, scan: str = "scan") -> FoundScan | BidsScan:
        """Files of a scan at the resolution that the run uses."""
        full = self.full_scan(subject, platform, scan)
        if "crop" not in self.platforms[platform]:
            return full
        named = {"scan": scan, "subject": subject, "platform": platform}
        cropped, mask = (p.format(**named) for p in (self.paths.cropped, self.paths.cropped_mask))
        return FoundScan(cropped, full.bval, full.bvec, mask)

    def steps(self, platform: str) -> list[str]:
        """Preprocessing steps of the raw scans of a platform, in order."""
        taken = {"denoising": self.is_denoised(platform), **self.config["preprocessing"]}
        return [step for step in PREPROCESSING_STEPS if taken[step]]

    def before_step(self, step: str | None, subject: str, platform: str) -> str:
        """A raw series before one of its preprocessing steps; None means after all steps."""
        steps = self.steps(platform)
        done = steps[: steps.index(step)] if step else steps
        if not done:
            return self.found(subject, platform)["dwi"]
        return self.paths.step(done[-1]).format(subject=subject, platform=platform)

    def gradients(self, kind: str) -> str:
        """Gradient table of a preprocessed scan; motion correction rotates its directions."""
        if not self.config["preprocessing"]["motion"]:
            return self.paths.valid(kind, "raw")
        return self.paths.step("motion", kind)

    @property
    def changes(self) -> str:
        """What the import does to the scans, for the description of the imported data set."""
        if self.kind == "mushac":
            return "Renamed; volumes of other echo or repetition times were dropped"
        taken = {step for platform in self.used_platforms for step in self.steps(platform)}
        return ", ".join(step for step in PREPROCESSING_STEPS if step in taken) or "Renamed"

    # --- Validation

    def validated(self, stage: str = "") -> dict[str, str]:
        """Files that the validation of a scan writes, by role; `stage` as in `RunPaths.valid`."""
        roles = ["bval", "bvec", "sidecar", "report"]
        if stage != "raw" or not self.config["preprocessing"]["mask"]:
            roles.append("mask")
        return {f"valid_{role}": self.paths.valid(role, stage) for role in roles}

    def reports(self) -> list[str]:
        """Reports on all scans that the run uses, as they come in."""
        pattern = self.paths.valid("report", "raw" if self.data_source.is_raw else "")
        return [
            pattern.format(subject=subject, platform=platform)
            for subject in self.subjects
            for platform in self.used_platforms
        ]

    def report(self, subject: str, platform: str) -> list[str]:
        """Report on a scan of one's own data set, for jobs that read its series.

        It holds the content of the series, of which Snakemake knows no more than the date.
        """
        pattern = self.paths.valid("report")
        given = [pattern.format(subject=subject, platform=platform)]
        return given if self.kind == "bids" else []

    def description(self) -> list[str]:
        """The description of the data set; one's own may lack it, which its validation finds."""
        if self.kind == "mushac":
            return [self.paths.dataset_description]
        path = self.data / Path(self.paths.dataset_description).name
        return [str(path)] if self.kind == "openneuro" or path.exists() else []

    def data_set(self) -> list[str]:
        """What a run makes of the whole data set: its description, and that nothing is wrong."""
        files = [] if self.kind == "bids" else [self.paths.dataset_description]
        return files if self.data_source.simulated else [*files, self.paths.validation]

    def convention(self, stage: str = "") -> str:
        """Convention of the bvec tables of the scans that come in."""
        imported = self.data_source.rules and stage != "raw"
        declared = self.config["dataset"]["bvec_convention"]
        return "fsl" if imported else bvec_convention(declared, self.data)

    def contents(self, files: Iterable[str]) -> dict[str, str | list[int]]:
        """What tells the user's files from others in their place, by name.

        Snakemake goes by dates, and would miss a file that an older one has replaced.
        """
        known: dict[str, str | list[int]] = {}
        for file in filter(os.path.isfile, files):
            status = Path(file).stat()
            small = status.st_size < SMALL_FILE
            known[file] = sha256(file) if small else [status.st_size, status.st_mtime_ns]
        return known

    def contents_of_scan(self, subject: str, platform: str) -> dict[str, str | list[int]]:
        """See `contents`; of downloaded scans nothing, as they are checked when they come."""
        downloaded = self.kind == "openneuro"
        return self.contents([] if downloaded else self.found(subject, platform).values())

    def contents_of_description(self) -> dict[str, str | list[int]]:
        """See `contents`; nothing if the workflow makes or downloads the description."""
        given = self.kind in ("bids", "raw")
        return self.contents(self.description() if given else [])

    def validation_settings(self) -> Settings:
        """What the validation of the data set needs to know about the run."""
        harmonics = self.config["spherical_harmonics"]
        return {
            "dataset": {
                "kind": self.kind,
                "root": str(self.data),
                "subjects": self.config["dataset"]["subjects"],
            },
            "platforms": self.raw_platforms,
            "source": self.source,
            "targets": self.targets,
            "spherical_harmonics": {key: harmonics[key] for key in ("shell", "order")},
        }

    # --- Images

    def to_register(self, subject: str, platform: str, scan: str) -> list[str]:
        """Files of a scan that its registration reads: series, b-values, b-vectors and mask."""
        files = self.scan(subject, platform, scan)
        return [files.dwi, files.bval, files.bvec, files.mask]

    def scan_to_fit(self, subject: str, platform: str, scan: str) -> dict[str, str]:
        """Files of a scan, the source's mask that defines the grid, and the scan's transform."""
        files = self.scan(subject, platform, scan)
        roles = {role: getattr(files, role) for role in ("dwi", "bval", "bvec", "mask")}
        roles["grid"] = self.scan(subject, self.source).mask
        if platform != self.source:
            # The truth lies where the first scan does, so it shares its transform, errors included.
            registered = "rescan" if scan == "rescan" else "scan"
            roles["transform"] = self.paths.transform.format(
                scan=registered, subject=subject, platform=platform
            )
        return roles

    def scan_to_redraw(self, subject: str, platform: str) -> dict[str, str]:
        """Files of a noise-free target, as `scan_to_fit`, and the level of the scan's noise."""
        entities = {key: self.platforms[platform][key] for key in ("session", "acquisition")}
        level = self.paths.noise_level.format(subject=subject, **entities)
        return {**self.scan_to_fit(subject, platform, "truth"), "noise_level": level}

    def sh_settings(self, platform: str) -> Settings:
        """Settings of a scan's spherical harmonics; its platform may have its own shell."""
        own = {key: v for key, v in self.platforms[platform].items() if key == "shell"}
        return {**self.config["spherical_harmonics"], **own}

    def slab_options(self, platform: str) -> str:
        """Options that tell a phantom's scan which slab to acquire; none for the whole head.

        A target's slab is thicker, so that it covers the source's slab wherever the head lies.
        """
        slab = self.config["dataset"]["slab"]
        if slab is None:
            return ""
        overhang = "" if platform == self.source else " --overhang"
        return "--slab {centre} {thickness}".format(**slab) + overhang
