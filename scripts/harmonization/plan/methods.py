"""The methods to compare, each with its own file `config/methods/<family>/<method>.yaml`."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from harmonization.files import InputError
from harmonization.plan.baselines import NAME, RULES, find_baselines, read_baseline
from harmonization.plan.configuration import merge
from harmonization.plan.plugins import module_of, plugin_names, read_plugin
from harmonization.plan.schemas import Settings, check, check_settings, read_yaml, suggest
from harmonization.plan.sources import SOURCES

FAMILIES = ("single_task", "multi_task", "msp", "ensemble", "classical", "control")
# Key of a method's file that names its plug-in, and the wing of the library that holds it.
WINGS = {"network": "networks", "classical": "classical"}
# Columns of tables that have a column for each method, too.
TABLE_COLUMNS = ("target", "region", "metric", "order", "n", "voxels")
# Keys that say how a model is made, which a scan is not.
OF_MODELS = (
    "reads",
    "fits",
    "builds_on",
    "matches",
    "selects_on",
    "seeded_as",
    "solve",
    "training",
)
OF_TWO_TARGETS = "it needs at least two targets"
DENOISED = "this run denoises the source for all methods"


@dataclass(frozen=True)
class Component:
    """Fitted models that a method builds on.

    Parameters
    ----------
    method : str
        The method that fits them.
    target : str
        ``own`` (the model of the same target), ``others``, ``next`` (the target after it), ``all``,
        or a platform.
    seed : int or str
        ``same``, ``others``, ``all`` (both), or a number; ``others`` are as many other seeds as
        there are other targets.
    alternatives : tuple of str
        Further methods; of each target, the model with the lowest validation error is taken.
    """

    method: str
    target: str
    seed: int | str = "same"
    alternatives: tuple[str, ...] = ()

    @property
    def methods(self) -> tuple[str, ...]:
        """The method and its alternatives."""
        return (self.method, *self.alternatives)


@dataclass(frozen=True)
class Match:
    """Another method that a method is made equal to.

    Parameters
    ----------
    method : str
    by : str
        Setting of the network that is solved for, so that both have as many parameters on the path
        to their predictions; or ``steps``, so that both trainings compute as much.
    within : str or None
        A method of all targets that builds on this one, and whose parameters are counted instead.
    """

    method: str
    by: str
    within: str | None = None


@dataclass(frozen=True)
class Method:
    """One method with checked settings.

    Parameters
    ----------
    name, label, citation : str
    family : str
        Folder of its file.
    role : {'rival', 'ablation', 'control'}
    scan : str or None
        ``truth`` or ``rescan`` for a control that is itself a scan; it has no plug-in.
    wing, plugin : str or None
        Wing and file of its plug-in, such as ``networks`` and ``espcn``.
    settings : dict
        Settings of the plug-in.
    fits : {'each', 'all'}
        One model for each target, or one for all.
    builds_on : tuple of Component
    reads : str
        Variant of the source's scan that it is given: ``scan``, ``denoised`` or ``truth``.
    training : dict or None
        Settings of gradient descent, with the ``weighting`` of the losses where one is given.
    solve : dict or None
        Settings of the fit in closed form.
    matches : Match or None
        What it is made equal to.
    selects_on : {'validation', 'test'}
        Subjects on whose error the fit selects; ``test`` leaks, and only a control may say it.
    seeded_as : str
        Method whose random numbers its trainings draw; itself but for a twin of another.
    needs_template : bool
        Whether its fit reads the template of its fold.
    rules : Path or None
        Snakefile of a baseline with rules of its own; it has no plug-in and no model of ours.
    fitted : tuple of str
        Files that the fit of such a baseline writes.
    summary, hardware : str
        What it does, and what it needs, in a line.
    references : tuple of str
        Keys of the BibTeX entries of what it goes back to.
    """

    name: str
    label: str
    family: str
    role: str
    citation: str
    scan: str | None = None
    wing: str | None = None
    plugin: str | None = None
    settings: Settings = field(default_factory=dict)
    fits: str = "each"
    builds_on: tuple[Component, ...] = ()
    reads: str = "scan"
    training: Settings | None = None
    solve: Settings | None = None
    matches: Match | None = None
    selects_on: str = "validation"
    seeded_as: str = ""
    needs_template: bool = False
    rules: Path | None = None
    fitted: tuple[str, ...] = ()
    summary: str = ""
    hardware: str = ""
    references: tuple[str, ...] = ()

    @property
    def is_model(self) -> bool:
        """Whether it has a model of ours: not if it is a scan, or has rules of its own."""
        return self.scan is None and self.rules is None

    @property
    def is_fitted(self) -> bool:
        """Whether its models learn anything from the fold, in whatever way."""
        return bool(self.training or self.builds_on or self.wing == "classical") or (
            self.solve is not None
        )

    @property
    def is_trained(self) -> bool:
        """Whether it is fitted by gradient descent, and so has seeds and can use a GPU."""
        return self.training is not None

    @property
    def fit_settings(self) -> Settings:
        """Settings that determine the method's models; a new label or citation re-fits nothing."""
        return {
            "wing": self.wing,
            "plugin": self.plugin,
            "settings": self.settings,
            "training": self.training,
            "solve": self.solve,
            "matches": self.matches.by if self.matches else None,
            "alternatives": [c.methods for c in self.builds_on if c.alternatives],
        }

    @property
    def needs(self) -> list[str]:
        """Methods whose models its fit reads."""
        needed = [name for component in self.builds_on for name in component.methods]
        return needed + ([self.matches.method] if self.matches else [])


def choose_methods(config: Settings, root: Path) -> tuple[list[str], dict[str, str]]:
    """Choose the methods to compare: those that the configuration names, singly or by family.

    A family brings neither baselines with rules of their own, nor what selects on test subjects.

    Parameters
    ----------
    config : dict
        The merged configuration.
    root : Path
        Root of the repository.

    Returns
    -------
    names : list of str
        In the order of the configuration; rivals come first in their family.
    left_out : dict of str to str
        Methods of those families that do not suit the run, and why.
    """
    folder = root / "config/methods"
    files = method_files(folder)
    names: list[str] = []
    left_out: dict[str, str] = {}
    for entry in config["methods"]:
        if entry not in FAMILIES:
            names.append(entry)
            continue
        of_family = {
            n: _read_file(folder, n)[1] for n, f in files.items() if f.parent.name == entry
        }
        chosen = []
        for name, settings in sorted(of_family.items(), key=_place):
            if settings.get("selects_on") == "test":
                continue
            if reason := _unsuitable(settings, config):
                left_out[name] = reason
            else:
                chosen.append(name)
        single = len(config["targets"]) == 1
        methods = _read_named(config | {"methods": chosen}, root) if single else {}
        lonely = {name for name in chosen if _lonely_need(name, methods, config)}
        left_out |= dict.fromkeys((name for name in chosen if name in lonely), OF_TWO_TARGETS)
        names += [name for name in chosen if name not in lonely]
    return list(dict.fromkeys(names)), left_out


def _place(method: tuple[str, Settings]) -> tuple[bool, str]:
    name, settings = method
    return settings.get("role", "rival") != "rival", name


def _unsuitable(settings: Settings, config: Settings) -> str:
    """Why a method does not suit a run, or nothing."""
    only_phantom = "scan" in settings or settings.get("reads") == "truth"
    if only_phantom and not SOURCES[config["dataset"]["kind"]].simulated:
        return "only a phantom has this scan"
    if settings.get("reads") == "denoised" and config["denoising"] in ("source", "both"):
        return DENOISED
    return ""


def read_methods(config: Settings, root: Path) -> dict[str, Method]:
    """Read the methods to compare and those they build on, and apply the run's overrides.

    Parameters
    ----------
    config : dict
        The merged configuration.
    root : Path
        Root of the repository.

    Returns
    -------
    dict of str to Method
        In the order of the configuration; components follow the methods that build on them. What
        reads a denoised source is left out if the run denoises all sources.

    Raises
    ------
    InputError
        One line for each mistake in a method's file or in the overrides.
    """
    if not config["methods"]:
        raise InputError(
            "configuration: methods: none of these families suits the run; add another"
        )
    methods = _read_named(config, root)
    for name in config["overrides"]:
        if name not in methods:
            raise InputError(
                f"configuration: overrides: method '{name}' is not used"
                f"{suggest(name, list(methods))}"
            )
    for method in methods.values():
        _check_components(method, methods, config)
        _check_match(method, methods)
        _check_fit(method)
    _refuse_equals(methods, config["training"])
    labelled: dict[str, str] = {}
    for name in config["methods"]:
        other = labelled.setdefault(methods[name].label, name)
        if other != name:
            raise InputError(
                f"configuration: methods: '{other}' and '{name}' are both labelled "
                f"'{methods[name].label}'; give one of them another label"
            )
    if taken := [name for label, name in labelled.items() if label in TABLE_COLUMNS]:
        raise InputError(
            f"method {taken[0]}: label: tables have a column '{methods[taken[0]].label}' already; "
            "give another label"
        )
    denoised = config["denoising"] in ("source", "both")
    kept = {n: m for n, m in methods.items() if not (denoised and m.reads == "denoised")}
    if not kept:
        raise InputError(
            "configuration: methods: none is left, as the run denoises its source; add another"
        )
    return kept


def _read_named(config: Settings, root: Path) -> dict[str, Method]:
    """Methods that the configuration names, and all that they need; see `read_methods`."""
    folder = root / "config/methods"
    schema = root / "workflow/schemas/method.schema.yaml"
    methods: dict[str, Method] = {}
    baselines = find_baselines(root)
    waiting = [(name, "configuration: methods") for name in config["methods"]]
    length: str = config["training"]
    without_length = []
    while waiting:
        name, asked_by = waiting.pop(0)
        if name in methods:
            continue
        overrides = config["overrides"].get(name, {})
        if name in baselines:
            methods[name] = _baseline(baselines[name], root, overrides)
            continue
        family, settings = _read_file(folder, name, asked_by)
        if "like" in overrides:
            raise InputError(
                f"configuration: overrides.{name}.like: belongs in a method's file; write one"
            )
        settings = check(merge(settings, overrides), schema, f"method {name}")
        lacking = "training" in settings and length not in settings["training"]
        without_length += [name] if lacking else []
        # Every method has full settings; with them, what it builds on is read and checked, too.
        methods[name] = _method(name, family, settings, "full" if lacking else length)
        twin, known = methods[name].seeded_as, list(method_files(folder))
        if twin and twin not in known:
            raise InputError(f"method {name}: seeded_as: no method '{twin}'{suggest(twin, known)}")
        reason = _unsuitable(settings, config)
        if reason and methods[name].reads != "denoised":
            raise InputError(f"configuration: methods: {name}: {reason}; leave it out")
        waiting += _asked_for(methods[name])
    if without_length:
        raise InputError(
            f"configuration: training: no '{length}' settings have {', '.join(without_length)}; "
            "add them to the file of each in config/methods or under `overrides`, or choose "
            "another training"
        )
    return methods


def method_files(folder: Path) -> dict[str, Path]:
    """Files of all methods, by name.

    Raises
    ------
    InputError
        If two families have a method of the same name, a file is in no family's folder, or a name
        is that of a family or would not work in rules and on command lines.
    """
    files: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.yaml")):
        if path.parent.name not in FAMILIES:
            raise InputError(
                f"{path}: lies in no family's folder; move it to one of {', '.join(FAMILIES)}"
            )
        if path.stem in FAMILIES or not re.fullmatch(NAME, path.stem):
            raise InputError(
                f"{path}: rename it; small letters, digits and _ make a name that is no family's"
            )
        if path.stem in files:
            raise InputError(f"{path}: {files[path.stem]} has the same name; rename one")
        files[path.stem] = path
    return files


def modules_of(method: Method, methods: dict[str, Method]) -> list[str]:
    """Modules of the plug-ins in a method's model, components included."""
    used = with_components(method, methods)
    return sorted({module_of(m.wing, m.plugin) for m in used if m.wing and m.plugin})


def with_components(method: Method, methods: dict[str, Method]) -> list[Method]:
    """A method and all methods that it builds on, directly or indirectly."""
    found: dict[str, Method] = {}
    waiting = [method]
    while waiting:
        current = waiting.pop()
        if current.name not in found:
            found[current.name] = current
            waiting += [methods[n] for component in current.builds_on for n in component.methods]
    return list(found.values())


def _asked_for(method: Method) -> list[tuple[str, str]]:
    """Names of the methods that a method needs or is compared with, and where it names them."""
    asked = [(n, "builds_on") for component in method.builds_on for n in component.methods]
    if match := method.matches:
        asked += [(n, "matches") for n in (match.method, match.within) if n]
    return [(name, f"method {method.name}: {key}") for name, key in asked]


def _read_file(
    folder: Path,
    name: str,
    asked_by: str = "configuration: methods",
    inherited_by: tuple[str, ...] = (),
) -> tuple[str, Settings]:
    """Family and settings of a method, including what it inherits by ``like``.

    A mistake in its name is reported as one of `asked_by`.
    """
    files = method_files(folder)
    if name not in files:
        baseline = folder.parents[1] / "workflow/baselines" / name
        if re.fullmatch(NAME, name) and baseline.is_dir():
            raise InputError(
                f"{asked_by}: {baseline}: has no {RULES}; write its rules there, as "
                "docs/adding-a-baseline.md says"
            )
        raise InputError(
            f"{asked_by}: no file config/methods/<family>/{name}.yaml"
            f"{suggest(name, [*files, *find_baselines(folder.parents[1]), *FAMILIES])}"
        )
    if name in inherited_by:
        raise InputError(f"{files[name]}: like: inherits from itself; break the circle")
    settings = read_yaml(files[name])
    if not isinstance(settings, dict):
        raise InputError(f"{files[name]}: holds no keys; copy those of another method")
    if base := settings.pop("like", None):
        if not isinstance(base, str):
            raise InputError(f"{files[name]}: like: {base!r} is no name of a method")
        _, inherited = _read_file(folder, base, f"method {name}: like", (*inherited_by, name))
        settings = merge(inherited, settings)
    return files[name].parent.name, settings


def _method(name: str, family: str, settings: Settings, length: str) -> Method:
    """Make a method from the settings of its file, which already fit their schema."""
    kinds = [key for key in ("scan", *WINGS) if key in settings]
    if len(kinds) != 1:
        raise InputError(f"method {name}: give one of network, classical and scan, not {kinds}")
    _check_weighting(name, settings)
    common = {
        "name": name,
        "family": family,
        "label": settings["label"],
        "citation": settings["citation"],
        "role": settings.get("role", "control" if family == "control" else "rival"),
        "references": tuple(settings.get("references", ())),
        "hardware": "a GPU, or 1 core" if "training" in settings else "1 core",
    }
    if kinds == ["scan"]:
        if ignored := [key for key in OF_MODELS if key in settings]:
            raise InputError(
                f"method {name}: {ignored[0]}: is for models, not for a scan; remove it"
            )
        return Method(**common, scan=settings["scan"], summary="A scan of the target itself.")
    key = kinds[0]
    wing, given = WINGS[key], dict(settings[key])
    chosen = given.pop("name")
    if chosen not in (known := plugin_names(wing)):
        raise InputError(
            f"method {name}: {key}.name: there is no {key} '{chosen}'{suggest(chosen, known)}"
        )
    plugin = read_plugin(wing, chosen)
    if wing == "classical" and (foreign := settings.keys() & {"training", "builds_on"}):
        raise InputError(
            f"method {name}: {min(foreign)}: is for networks; give what {chosen} can be told under "
            "classical"
        )
    solve = settings.get("solve")
    fitted = [key for key in ("training", "solve", "builds_on", "classical") if key in settings]
    if settings.get("reads") == "truth" and fitted:
        raise InputError(
            f"method {name}: reads: a scan without noise is for controls that fit nothing; leave "
            f"out reads or {fitted[0]}"
        )
    if solve is not None:
        if plugin.solve is None:
            raise InputError(
                f"method {name}: solve: {chosen} has no fit in closed form; give training instead"
            )
        solve = check_settings(solve, plugin.solve, f"method {name}", "solve")
    if solve is not None and "training" in settings:
        raise InputError(f"method {name}: give training or solve, not both")
    return Method(
        **common,
        wing=wing,
        plugin=chosen,
        summary=plugin.summary,
        settings=check_settings(given, plugin.settings, f"method {name}", key),
        fits=settings.get("fits", "each"),
        builds_on=tuple(_component(component) for component in settings.get("builds_on", [])),
        reads=settings.get("reads", "scan"),
        training=_training(name, settings, length),
        solve=solve,
        matches=Match(**settings["matches"]) if "matches" in settings else None,
        selects_on=_selection(name, settings, common["role"]),
        seeded_as=settings.get("seeded_as", name),
        needs_template=plugin.needs_template,
    )


def _baseline(folder: Path, root: Path, overrides: Settings) -> Method:
    """Make a method of a baseline with rules of its own."""
    if folder.name in (files := method_files(root / "config/methods")):
        raise InputError(f"{folder}: {files[folder.name]} has the same name; rename one")
    found = read_baseline(folder, root, overrides)
    return Method(
        name=folder.name,
        role="control" if found["family"] == "control" else "rival",
        settings=found["settings"],
        rules=folder / RULES,
        fitted=tuple(found["fitted"]),
        references=tuple(found.get("references", ())),
        **{key: found[key] for key in ("label", "family", "citation", "summary", "hardware")},
    )


def _component(settings: Settings) -> Component:
    given = {key: value for key, value in settings.items() if key != "or"}
    return Component(**given, alternatives=tuple(settings.get("or", [])))


def _selection(name: str, settings: Settings, role: str) -> str:
    selects_on = settings.get("selects_on", "validation")
    if selects_on == "test" and role != "control":
        raise InputError(
            f"method {name}: selects_on: test shows a method its test subject; only a method of "
            "role control may, whose score is then no result"
        )
    return selects_on


def _training(name: str, settings: Settings, length: str) -> Settings | None:
    """Training settings of one `length`, such as ``short``."""
    if "training" not in settings:
        return None
    for phase in (training := settings["training"][length])["phases"]:
        if phase.get("warm_up", 0) >= phase["steps"]:
            raise InputError(
                f"method {name}: training.{length}.phases: a warm_up of {phase['warm_up']} steps "
                f"leaves none of {phase['steps']}; give fewer"
            )
    if "weighting" in settings:
        return training | {"weighting": settings["weighting"]}
    return training


def _check_weighting(name: str, settings: Settings) -> None:
    """Refuse to weigh the losses of a method that has one, or none."""
    if "weighting" not in settings:
        return
    if "training" not in settings:
        raise InputError(
            f"method {name}: weighting: there is no training; give one or leave it out"
        )
    if settings.get("fits", "each") != "all":
        raise InputError(
            f"method {name}: weighting: a model of one target has nothing to weigh; give fits: all "
            "or leave it out"
        )


def _check_components(method: Method, methods: dict[str, Method], config: Settings) -> None:
    choices = ["own", "others", "next", "all", *config["targets"]]
    for component in method.builds_on:
        where = f"method {method.name}: builds_on"
        if component.target not in choices:
            raise InputError(
                f"{where}: no target '{component.target}'{suggest(component.target, choices)}"
            )
        others = [methods[name] for name in component.methods]
        if len({other.is_trained for other in others}) > 1:
            raise InputError(
                f"{where}: of {' and '.join(component.methods)} some are trained and have seeds, "
                "others not; let alternatives be alike"
            )
        for other in others:
            if not other.is_model:
                kind = "has rules of its own" if other.rules else "is a scan"
                raise InputError(f"{where}: {other.name} {kind}; name a method that fits a model")
            if other.reads != method.reads:
                raise InputError(
                    f"{where}: {other.name} reads '{other.reads}' and {method.name} "
                    f"'{method.reads}'; let both read the same"
                )
            if method.wing == "networks" and other.wing != "networks":
                raise InputError(
                    f"{where}: {other.name} is no network; a network builds on networks"
                )
            if method.name in _all_needs(other, methods):
                raise InputError(f"{where}: {other.name} builds on {method.name}; break the circle")
            if component.target != "all" and "all" in (method.fits, other.fits):
                raise InputError(
                    f"{where}: a model of all targets has no '{component.target}'; give target: all"
                )


def refuse_lonely(config: Settings, methods: dict[str, Method]) -> None:
    """Refuse methods that build on networks of other targets in a run of one target."""
    for name in config["methods"]:
        if lonely := _lonely_need(name, methods, config):
            why = "" if lonely == name else f"{lonely}, which it needs, "
            raise InputError(
                f"configuration: methods: {name}: {why}needs at least two targets, as it builds on "
                "networks of others; add a target or leave it out"
            )


def _lonely_need(name: str, methods: dict[str, Method], config: Settings) -> str:
    """What of a method and all that it needs is left with one component by a run of one target.

    It names components of other targets, or as many seeds as there are targets; without these it
    would be another method of the same name. Nothing if there is no such.
    """
    if len(config["targets"]) > 1 or methods[name].rules:
        return ""
    for needed in sorted(_all_needs(methods[name], methods), key=lambda n: (n != name, n)):
        named, kept = False, set()
        for component in methods[needed].builds_on:
            of_each = methods[component.method].fits == "each"
            choices = {component.target if of_each else "own", component.seed}
            named |= bool(choices & {"others", "next", "all"})
            if not choices & {"others", "next"}:
                seed = "same" if component.seed == "all" else component.seed
                kept.add((component.methods, seed))
        if named and len(kept) < 2:
            return needed
    return ""


def _check_fit(method: Method) -> None:
    """Refuse a network that would predict with random values; its fit counts those of others."""
    if method.wing != "networks" or method.is_fitted:
        return
    if (plugin := read_plugin(method.wing, method.plugin)).needs_fit:
        fits = "training" if plugin.solve is None else "training or solve"
        raise InputError(
            f"method {method.name}: network: nothing fits {method.plugin}; give {fits}, or "
            "needs_fit = False in its class if its start is what it predicts with"
        )


def _check_match(method: Method, methods: dict[str, Method]) -> None:
    if method.matches is None:
        return
    where = f"method {method.name}: matches"
    other, by = methods[method.matches.method], method.matches.by
    if not (method.is_trained and other.is_trained):
        untrained = other.name if method.is_trained else method.name
        raise InputError(f"{where}: {untrained} is not trained; only trainings can be matched")
    if other.reads != method.reads:
        raise InputError(
            f"{where}: {other.name} reads '{other.reads}' and {method.name} '{method.reads}'; let "
            "both read the same"
        )
    known = read_plugin(method.wing, method.plugin).settings["properties"]
    numbers = [name for name, schema in known.items() if schema.get("type") == "integer"]
    if by not in (choices := [*numbers, "steps"]):
        raise InputError(f"{where}: no setting '{by}' to solve for{suggest(by, choices)}")
    if method.name in _all_needs(other, methods):
        raise InputError(f"{where}: {other.name} needs {method.name}; break the circle")
    if (within := method.matches.within) is None:
        return
    own = [component.target for component in methods[within].builds_on]
    if methods[within].needs != [method.name] or own != ["all"] or methods[within].fits != "all":
        raise InputError(
            f"{where}: within: {within} must fit all, and build on {method.name} for all targets "
            "and on nothing else"
        )


def _all_needs(method: Method, methods: dict[str, Method]) -> set[str]:
    """Names of a method and of all whose models its fit needs, directly or indirectly."""
    found: set[str] = set()
    waiting = [method.name]
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            waiting += methods[name].needs
    return found


def _refuse_equals(methods: dict[str, Method], length: str) -> None:
    """Refuse two files that resolve to the same fit: their difference would be chance alone."""
    fitted: dict[str, str] = {}
    for method in methods.values():
        if method.training is None and method.solve is None:
            continue
        defined = (method.fit_settings, method.builds_on, method.fits, method.matches)
        defined += (method.selects_on, method.reads)
        other = fitted.setdefault(repr(defined), method.name)
        if other != method.name:
            raise InputError(
                f"method {method.name}: is fitted exactly like {other} with training: {length}; "
                "change a setting, or name one of them only"
            )
