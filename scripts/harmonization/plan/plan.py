"""The plan of a run: its folds, models, predictions and scores, and their files."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harmonization.files import InputError
from harmonization.plan.baselines import baseline_version, find_baselines
from harmonization.plan.claims import read_claims
from harmonization.plan.configuration import check_place, check_run
from harmonization.plan.folds import parts_of_fold, read_limits
from harmonization.plan.methods import (
    DENOISED,
    FAMILIES,
    choose_methods,
    method_files,
    modules_of,
    read_methods,
    refuse_lonely,
)
from harmonization.plan.paths import RunPaths, expand_models
from harmonization.plan.references import check_references
from harmonization.plan.run_scans import RunScans
from harmonization.plan.schemas import Settings
from harmonization.plan.version import code_version, refuse_code_in_packages

# End of a manifest's name, and of the methods that learn from it: the subjects on whose error they
# select, and the variant of the source's scan that they read.
SELECTIONS = {
    "": ("validation", "scan"),
    "_denoised": ("validation", "denoised"),
    "_selects-on-test": ("test", "scan"),
    "_denoised_selects-on-test": ("test", "denoised"),
}
ALL_TARGETS = "all"  # target of a model that predicts every target
REFERENCES = "references.bib"


@dataclass(frozen=True)
class ModelKey:
    """Key of a fitted model: the wildcards of its folder."""

    method: str
    target: str
    fold: int
    seed: int


class Plan:
    """Everything that the rules need to know about a run.

    Subjects, platforms, targets and methods are named as in the configuration; a *scan* as in
    `RunPaths`.

    Parameters
    ----------
    config : dict
        The merged configuration, unchecked.
    root : Path
        Root of the repository.

    Raises
    ------
    InputError
        If the configuration or a method's file is wrong, or a scan that the run needs is missing.
    """

    def __init__(self, config: Settings, root: Path) -> None:
        self.root = root
        self._versions: dict[tuple[str, str | None], str] = {}
        refuse_code_in_packages(root / "scripts")
        self.config = check_run(config, root)
        check_place(self.config)
        self.config["methods"], self.left_out = choose_methods(self.config, root)
        self.methods = read_methods(self.config, root)
        named = self.config["methods"]
        self.config["methods"] = [name for name in named if name in self.methods]
        self.left_out |= {name: DENOISED for name in named if name not in self.methods}
        refuse_lonely(self.config, self.methods)
        for name, method in self.methods.items():
            check_references(name, method.references, self.bibliographies(name))
        self.claims = read_claims(
            root / "config/claims.yaml",
            root / "workflow/schemas/claims.schema.yaml",
            [*method_files(root / "config/methods"), *find_baselines(root)],
            list(FAMILIES),
        )
        self.paths = RunPaths(f"results/{self.config['run']}")
        self.scans = RunScans(self.config, self.paths, root)
        self.subjects = self.scans.subjects
        self.source, self.targets = self.scans.source, self.scans.targets
        validation_subjects = self.config["cross_validation"]["validation_subjects"]
        train = parts_of_fold(self.subjects, 0, validation_subjects)["train"]
        self.limits = read_limits(self.config["limited_data"], train)
        folds = len(self.limits) or self.config["cross_validation"]["folds"]
        self.folds = range(folds)
        self._check_limits()
        self.scales = {target: self.scans.platforms[target]["scale"] for target in self.targets}

    def notes(self) -> list[str]:
        """What a user might not expect of the run, a line each, for the start of its output."""
        lines = [f"{name} is left out: {why}." for name, why in self.left_out.items()]
        if (held := self.scans.held) > (used := len(self.subjects)):
            lines.append(f"Uses {used} of {held} subjects (dataset.subjects).")
        return lines

    def _check_limits(self) -> None:
        """Refuse methods that would learn from more than the patches that a study allows them."""
        for name, method in self.methods.items():
            of_images = method.rules or (method.is_fitted and method.wing == "classical")
            if self.limits and of_images:
                raise InputError(
                    f"configuration: methods: '{name}' learns from whole images, so limited_data "
                    "cannot limit it; remove it"
                )

    # --- Code

    def version(self, command: str, method: str | None = None) -> str:
        """Hash of the code of a command and of the plug-ins in a method's model."""
        # Thousands of jobs ask for a few dozen versions.
        if (command, method) not in self._versions:
            match = self.methods[method].matches if method else None
            whole = match.within if match and match.within else method
            modules = modules_of(self.methods[whole], self.methods) if whole else ()
            found = code_version(self.root / "scripts", command, modules)
            self._versions[command, method] = found
        return self._versions[command, method]

    # --- Images

    def registered_scans(self, subject: str | None = None) -> list[tuple[str, str, str]]:
        """Registered scans as (subject, platform, scan), of one subject or of all."""
        scans = [(person, target, "scan") for person in self.subjects for target in self.targets]
        if "rescan" in [method.scan for method in self.methods.values()]:
            scans += [
                (person, target, "rescan") for person in self.tested() for target in self.targets
            ]
        return [scan for scan in scans if subject in (None, scan[0])]

    def of_registered(self, pattern: str, subject: str | None = None) -> list[str]:
        """Files of the registered scans, of one subject or of all."""
        return [
            pattern.format(subject=person, platform=platform, scan=scan)
            for person, platform, scan in self.registered_scans(subject)
        ]

    # --- Folds

    def parts(self, fold: int | str, selects_on: str = "validation") -> dict[str, list[str]]:
        """Subjects of each part of a fold; what selects on the test subject validates on it."""
        validation_subjects = self.config["cross_validation"]["validation_subjects"]
        if self.limits:
            parts = parts_of_fold(self.subjects, 0, validation_subjects)
            parts["train"] = self.limits[int(fold)].choose(parts["train"])
        else:
            parts = parts_of_fold(self.subjects, int(fold), validation_subjects)
        if selects_on == "test":
            return {**parts, "validation": parts["test"], "test": []}
        return parts

    def tested(self) -> list[str]:
        """Test subjects of all folds."""
        return list(dict.fromkeys(s for fold in self.folds for s in self.parts(fold)["test"]))

    def limited_folds(self) -> dict[str, dict[str, str]]:
        """What each fold of a study of limited data learns from, for its table."""
        return {
            str(fold): {
                "subjects": str(limit.subjects),
                "patches": str(limit.patches or "all"),
                "draw": str(limit.draw),
            }
            for fold, limit in enumerate(self.limits)
        }

    def patches_to_draw(self, fold: int | str) -> dict[str, str]:
        """Options that limit the patches that a fold learns from; none if it has them all."""
        limit = self.limits[int(fold)] if self.limits else None
        if limit is None or limit.patches is None:
            return {}
        return {"patches": str(limit.patches), "draw": str(limit.draw)}

    def training_images(
        self, fold: int | str, selects_on: str = "validation", reads: str = "scan"
    ) -> list[str]:
        """Images of a fold's training and validation subjects, and none of its test subject."""
        parts = self.parts(fold, selects_on)
        variants = {self.source: reads}
        return [
            pattern.format(scan=variants.get(platform, "scan"), subject=subject, platform=platform)
            for subject in parts["train"] + parts["validation"]
            for platform in self.scans.used_platforms
            for pattern in (self.paths.sh, self.paths.sh_mask, self.paths.sh_sidecar)
        ]

    def test_masks(self, fold: int | str) -> list[str]:
        """Masks of a fold's test subjects on every target, which decide what patches count."""
        subjects = self.parts(fold)["test"]
        return [file for s in subjects for file in self._on_targets(self.paths.sh_mask, s)]

    def test_references(self, fold: int | str) -> list[str]:
        """Files that predictions of any method of a fold's test subjects are scored against."""
        found = (self._references(subject).values() for subject in self.parts(fold)["test"])
        return [file for roles in found for files in roles for file in files]

    def template(self, method: str, fold: int | str) -> list[str]:
        """Template of a method's fold, and the warps of all of its subjects, if it needs them."""
        if not self.methods[method].needs_template:
            return []
        named = {"fold": fold, "selection": self.selection(method)}
        parts = self.parts(fold, self.methods[method].selects_on)
        warps = [
            pattern.format(subject=subject, **named)
            for subject in parts["train"] + parts["validation"]
            for pattern in (self.paths.to_head, self.paths.to_template)
        ]
        return [self.paths.template.format(**named), *warps]

    def selection(self, method: str) -> str:
        """End of the name of the manifest that a method learns from."""
        chosen = self.methods[method]
        reads = chosen.reads if chosen.is_fitted else "scan"
        ends = {selection: end for end, selection in SELECTIONS.items()}
        return ends[chosen.selects_on, reads]

    # --- Models

    def seeds(self, method: str) -> list[int]:
        """Seeds of a method's models; a method that is not trained has only seed 0."""
        trained = self.methods[method].is_trained
        return list(range(self.config["cross_validation"]["seeds"])) if trained else [0]

    def model_target(self, method: str, target: str) -> str:
        """Target in the name of the model that predicts `target`."""
        return ALL_TARGETS if self.methods[method].fits == "all" else target

    def first_target(self, method: str) -> str:
        """The first target that a model of a method has, on which the method is tuned."""
        return self.model_target(method, self.targets[0])

    def models(self) -> list[ModelKey]:
        """Models of all methods, folds, targets and seeds, and those that their fits need."""
        keys = [
            ModelKey(name, target, fold, seed)
            for name, method in self.methods.items()
            if method.is_model
            for fold in self.folds
            for target in dict.fromkeys(self.model_target(name, t) for t in self.targets)
            for seed in self.seeds(name)
        ]
        known = dict.fromkeys(keys)
        for key in keys:  # grows on the way
            needed = [*self.components(*vars(key).values()), *self.matched(*vars(key).values())]
            keys += [other for other in needed if other not in known]
            known |= dict.fromkeys(needed)
        return keys

    def trained_models(self) -> list[ModelKey]:
        """Models trained by gradient descent."""
        return [key for key in self.models() if self.methods[key.method].is_trained]

    def scored_models(self) -> list[ModelKey]:
        """Models of the seeds that are scored: not those on which others alone build."""
        return [key for key in self.models() if key.seed in self.seeds(key.method)]

    def needed_models(self) -> dict[str, dict[str, dict[str, dict[str, list[int]]]]]:
        """Models that the predictions of the first seed need, by method and target.

        A model, its components and theirs, each as in `seeds_of`; they are the same in every fold.
        """
        return {
            name: {target: self.seeds_of(self._with_components(name, target)) for target in targets}
            for name, targets in self.predicted_models().items()
            if self.methods[name].is_model
        }

    def _with_components(self, method: str, target: str) -> list[ModelKey]:
        keys = [ModelKey(method, self.model_target(method, target), 0, 0)]
        for key in keys:  # grows on the way
            keys += [other for other in self.components(*vars(key).values()) if other not in keys]
        return keys

    def seeds_of(self, keys: list[ModelKey]) -> dict[str, dict[str, list[int]]]:
        """Seeds of models, by method and target; they are the same in every fold."""
        found: dict[str, dict[str, dict[int, None]]] = {}
        for key in keys:
            found.setdefault(key.method, {}).setdefault(key.target, {})[key.seed] = None
        return {m: {t: list(s) for t, s in targets.items()} for m, targets in found.items()}

    def models_of(self, pattern: str, method: str, fold: str) -> list[str]:
        """A file of the model that predicts each target, by each seed.

        All targets may have the same model.
        """
        return [
            pattern.format(
                method=method, target=self.model_target(method, target), fold=fold, seed=seed
            )
            for seed in self.seeds(method)
            for target in self.targets
        ]

    def components(
        self, method: str, target: str, fold: int | str, seed: int | str
    ) -> list[ModelKey]:
        """Models that a model builds on, of the same fold, in the order of the method's file."""
        return list(
            dict.fromkeys(
                ModelKey(name, component_target, int(fold), component_seed)
                for component in self.methods[method].builds_on
                for name in component.methods
                for component_target in self._component_targets(name, component.target, target)
                for component_seed in self._component_seeds(name, component.seed, int(seed))
            )
        )

    def _component_targets(self, method: str, choice: str, target: str) -> list[str]:
        if self.methods[method].fits == "all":
            return [ALL_TARGETS]
        others = [t for t in self.targets if t != target]
        match choice:
            case "own":
                return [target]
            case "others":
                return others
            case "all":
                return self.targets
            case "next":
                place = self.targets.index(target) + 1
                return (self.targets[place:] + self.targets[:place])[: len(others[:1])]
        return [choice]

    def _component_seeds(self, method: str, choice: int | str, seed: int) -> list[int]:
        if not self.methods[method].is_trained:
            return [0]
        wanted = len(self.targets)
        pool = max(self.config["cross_validation"]["seeds"], wanted)
        turned = [(seed + number) % pool for number in range(wanted)]
        match choice:
            case "same":
                return [seed]
            case "others":
                return turned[1:]
            case "all":
                return turned
        return [int(choice)]

    def specification(self, key: ModelKey) -> Settings:
        """What a model is made of, its components included, as the library's `Specification`."""
        method = self.methods[key.method]
        components = {
            f"{other.method}-{other.target}-{other.seed}": self.specification(other)
            for other in self.components(key.method, key.target, key.fold, key.seed)
        }
        read = {key.target, *(t for c in components.values() for t in c["task"]["scales"])}
        of_all = method.fits == "all"
        order = self.config["spherical_harmonics"]["order"]
        task = {
            "channels": (order + 1) * (order + 2) // 2,
            "scales": {t: r for t, r in self.scales.items() if t in read or of_all},
            "target": None if of_all else key.target,
            "seed": key.seed,
        }
        return {
            **{name: getattr(method, name) for name in ("wing", "plugin", "settings")},
            "task": task,
            "components": components,
        }

    def fit_settings(self, method: str) -> Settings:
        """Settings that determine a method's models, and what scans they read."""
        chosen = self.methods[method]
        match = chosen.matches
        within = self.methods[match.within].fit_settings if match and match.within else None
        read = {
            "denoised": self.scans.reads_denoised(chosen.reads),
            "noise_free": chosen.reads == "truth",
        }
        return {**chosen.fit_settings, "input": read, "within": within}

    def matched(self, method: str, target: str, fold: int | str, seed: int | str) -> list[ModelKey]:
        """Models that a model is made equal to: of its target, or of all if it predicts all."""
        match = self.methods[method].matches
        if match is None:
            return []
        seed = int(seed) if int(seed) in self.seeds(match.method) else 0
        targets = self.targets if target == ALL_TARGETS or match.within else [target]
        of_models = dict.fromkeys(self.model_target(match.method, t) for t in targets)
        return [ModelKey(match.method, t, int(fold), seed) for t in of_models]

    def model_files(self, pattern: str, keys: list[ModelKey]) -> list[str]:
        """Files of models."""
        return [pattern.format(**vars(key)) for key in keys]

    def bibliographies(self, name: str) -> list[Path]:
        """Files with the references of a method; a baseline may bring one of its own."""
        rules = self.methods[name].rules
        own = [rules.with_name(REFERENCES)] if rules else []
        return [self.root / "config" / REFERENCES, *(path for path in own if path.exists())]

    # --- Baselines with rules of their own

    @property
    def baselines(self) -> dict[str, Path]:
        """Their folders, by name."""
        return {name: m.rules.parent for name, m in self.methods.items() if m.rules}

    def baseline_config(self, name: str) -> Settings:
        """What the rules of a baseline know of the run; paths have wildcards for the rest."""
        folder, paths = self.baselines[name], self.paths
        source = {"scan": "scan", "subject": "{subject}", "platform": self.source}
        own = {"method": name, "target": "{target}", "fold": "{fold}", "seed": 0}
        return {
            "name": name,
            "folder": os.path.relpath(folder),
            "settings": self.methods[name].settings,
            "version": baseline_version(folder),
            "source": self.source,
            "targets": self.targets,
            "scales": self.scales,
            "manifest": paths.manifest.format(fold="{fold}", selection=""),
            "fitted": paths.model.format(**own),
            "source_image": paths.sh.format(**source),
            "source_mask": paths.sh_mask.format(**source),
            "prediction": paths.prediction.format(**own, subject="{subject}"),
            "logs": f"{paths.results}/logs/{name}",
        }

    def baseline_files(self) -> list[str]:
        """Files that the fits of all baselines write, for all folds and targets."""
        return [
            f"{self.paths.model}/{file}".format(method=name, target=target, fold=fold, seed=0)
            for name in self.baselines
            for file in self.methods[name].fitted
            for fold in self.folds
            for target in self.targets
        ]

    # --- Predictions

    def predictions(
        self,
        pattern: str,
        targets: list[str] | None = None,
        folds: list[int] | None = None,
        all_seeds: bool = True,
    ) -> list[str]:
        """Files of the test subjects' predictions, in the order of the tables."""
        last = None if all_seeds else 1
        models = {
            method: {target: seeds[:last] for target, seeds in of_method.items()}
            for method, of_method in self.predicted_models(targets).items()
        }
        return expand_models(pattern, models, self.test_subjects(folds))

    def predictions_of(self, method: str, fold: str, subject: str) -> list[str]:
        """Predictions of a test subject, of each target by each seed."""
        named = {"method": method, "fold": fold, "subject": subject}
        return [
            self.paths.prediction.format(**named, seed=seed, target=target)
            for seed in self.seeds(method)
            for target in self.targets
        ]

    def predicted_models(self, targets: list[str] | None = None) -> dict[str, dict[str, list[int]]]:
        """Seeds of the predictions that are compared, by method and target."""
        return {
            name: {target: self.seeds(name) for target in targets or self.targets}
            for name in self.config["methods"]
        }

    def test_subjects(self, folds: Iterable[int] | None = None) -> dict[str, list[str]]:
        """Test subjects of all folds, or of some, by fold."""
        chosen = self.folds if folds is None else folds
        return {str(fold): self.parts(fold)["test"] for fold in chosen}

    def to_score(self, method: str, subject: str) -> dict[str, list[str]]:
        """Files that predictions of a subject are scored against: a list over targets, by role.

        The scans, their masks and sidecars, and the masks of a control that is itself a scan. Only
        a phantom knows the truth, the mean over noise and its variance, and tissue labels, which
        are those of the source.
        """
        return self._references(subject) | self.own_masks(method, subject)

    def own_masks(self, method: str, subject: str) -> dict[str, list[str]]:
        """Masks of a control that is itself a scan, on each target; none of any other method."""
        scan = self.methods[method].scan
        return {"own_mask": self._on_targets(self.paths.sh_mask, subject, scan)} if scan else {}

    def _references(self, subject: str) -> dict[str, list[str]]:
        files = {
            "measured": self._on_targets(self.paths.sh, subject),
            "mask": self._on_targets(self.paths.sh_mask, subject),
            "sidecar": self._on_targets(self.paths.sh_sidecar, subject),
        }
        if self.scans.data_source.simulated:
            files |= {
                "truth": self._on_targets(self.paths.sh, subject, "truth"),
                "expected": self._on_targets(self.paths.expected, subject),
                "expected_variance": self._on_targets(self.paths.expected_variance, subject),
                "tissue": [self.scans.imported_scan(subject, self.source).tissue],
            }
        return files

    def _on_targets(self, pattern: str, subject: str, scan: str = "scan") -> list[str]:
        return [pattern.format(scan=scan, subject=subject, platform=t) for t in self.targets]
