"""The methods to compare, each with its own file `config/methods/<family>/<method>.yaml`."""

from dataclasses import dataclass, field
from pathlib import Path

import yaml

from harmonization.files import InputError
from harmonization.plan.configuration import Settings, check, check_settings, merge, suggest
from harmonization.plan.plugins import module_of, plugin_names, read_plugin
from harmonization.plan.sources import SOURCES

FAMILIES = ("single_task", "multi_task", "msp", "ensemble", "classical", "control")
# Key of a method's file that names its plug-in, and the wing of the library that holds it.
WINGS = {"network": "networks", "classical": "classical"}


@dataclass(frozen=True)
class Component:
    """Fitted models that a method builds on.

    Parameters
    ----------
    method : str
        The method that fits them.
    target : str
        ``own`` (the model of the same target), ``others``, ``all``, or a platform.
    seed : int or str
        ``same``, ``others`` (every other seed of the run), or a number.
    """

    method: str
    target: str
    seed: int | str = "same"


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
        Variant of the source's scan that it is applied to: ``scan``, ``denoised`` or ``truth``.
    training : dict or None
        Settings of gradient descent.
    solve : dict or None
        Settings of the fit in closed form.
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

    @property
    def is_model(self) -> bool:
        """Whether the method has a model; a control may be a scan instead."""
        return self.scan is None

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
        }


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
    folder = root / "config/methods"
    schema = root / "workflow/schemas/method.schema.yaml"
    methods: dict[str, Method] = {}
    waiting = list(config["methods"])
    while waiting:
        name = waiting.pop(0)
        if name in methods:
            continue
        family, settings = _read_file(folder, name)
        overrides = config["overrides"].get(name, {})
        if "like" in overrides:
            raise InputError(
                f"configuration: overrides.{name}.like: belongs in a method's file; write one"
            )
        settings = check(merge(settings, overrides), schema, f"method {name}")
        methods[name] = _method(name, family, settings, config["training"])
        only_phantom = methods[name].scan or methods[name].reads == "truth"
        if only_phantom and not SOURCES[config["dataset"]["kind"]].simulated:
            raise InputError(
                f"configuration: methods: '{name}' is a scan that only a phantom has; leave it out"
            )
        waiting += [component.method for component in methods[name].builds_on]
    for name in config["overrides"]:
        if name not in methods:
            raise InputError(
                f"configuration: overrides: method '{name}' is not used"
                f"{suggest(name, list(methods))}"
            )
    for method in methods.values():
        _check_components(method, methods, config)
    labelled: dict[str, str] = {}
    for name in config["methods"]:
        other = labelled.setdefault(methods[name].label, name)
        if other != name:
            raise InputError(
                f"configuration: methods: '{other}' and '{name}' are both labelled "
                f"'{methods[name].label}'; give one of them another label"
            )
    denoised = config["denoising"] in ("source", "both")
    kept = {n: m for n, m in methods.items() if not (denoised and m.reads == "denoised")}
    if not kept:
        raise InputError(
            "configuration: methods: none is left, as the run denoises its source; add another"
        )
    return kept


def method_files(folder: Path) -> dict[str, Path]:
    """Files of all methods, by name.

    Raises
    ------
    InputError
        If two families have a method of the same name, or a file is in no family's folder.
    """
    files: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.yaml")):
        if path.parent.name not in FAMILIES:
            raise InputError(
                f"{path}: lies in no family's folder; move it to one of {', '.join(FAMILIES)}"
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
            waiting += [methods[component.method] for component in current.builds_on]
    return list(found.values())


def _read_file(folder: Path, name: str, inherited_by: tuple[str, ...] = ()) -> tuple[str, Settings]:
    """Family and settings of a method, including what it inherits by ``like``."""
    files = method_files(folder)
    if name not in files:
        where = f"method {inherited_by[-1]}: like" if inherited_by else "configuration: methods"
        raise InputError(
            f"{where}: no file config/methods/<family>/{name}.yaml{suggest(name, list(files))}"
        )
    if name in inherited_by:
        raise InputError(f"{files[name]}: like: inherits from itself; break the circle")
    try:
        settings = yaml.safe_load(files[name].read_text())
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{files[name]}: not valid YAML ({reason})") from None
    if not isinstance(settings, dict):
        raise InputError(f"{files[name]}: holds no keys; copy those of another method")
    if base := settings.pop("like", None):
        _, inherited = _read_file(folder, base, (*inherited_by, name))
        settings = merge(inherited, settings)
    return files[name].parent.name, settings


def _method(name: str, family: str, settings: Settings, length: str) -> Method:
    """Make a method from the settings of its file, which already fit their schema."""
    kinds = [key for key in ("scan", *WINGS) if key in settings]
    if len(kinds) != 1:
        raise InputError(f"method {name}: give one of network, classical and scan, not {kinds}")
    common = {
        "name": name,
        "family": family,
        "label": settings["label"],
        "citation": settings["citation"],
        "role": settings.get("role", "control" if family == "control" else "rival"),
    }
    if kinds == ["scan"]:
        return Method(**common, scan=settings["scan"])
    key = kinds[0]
    wing, given = WINGS[key], dict(settings[key])
    chosen = given.pop("name")
    if chosen not in (known := plugin_names(wing)):
        raise InputError(
            f"method {name}: {key}.name: there is no {key} '{chosen}'{suggest(chosen, known)}"
        )
    plugin = read_plugin(wing, chosen)
    solve = settings.get("solve")
    fitted = [key for key in ("training", "solve", "builds_on") if key in settings]
    if "reads" in settings and fitted:
        raise InputError(
            f"method {name}: reads: what is fitted reads the scan; leave out reads or {fitted[0]}"
        )
    if solve is not None:
        if plugin.solve is None:
            raise InputError(
                f"method {name}: solve: {chosen} has no fit in closed form; give training instead"
            )
        solve = check_settings(solve, plugin.solve, f"method {name}: solve")
    if solve is not None and "training" in settings:
        raise InputError(f"method {name}: give training or solve, not both")
    return Method(
        **common,
        wing=wing,
        plugin=chosen,
        settings=check_settings(given, plugin.settings, f"method {name}: {key}"),
        fits=settings.get("fits", "each"),
        builds_on=tuple(Component(**component) for component in settings.get("builds_on", [])),
        reads=settings.get("reads", "scan"),
        training=_training(name, settings, length),
        solve=solve,
    )


def _training(name: str, settings: Settings, length: str) -> Settings | None:
    """Training settings of one `length`, such as ``short``."""
    if "training" not in settings:
        return None
    if length not in settings["training"]:
        raise InputError(
            f"configuration: training: method {name} has no '{length}' settings; add them to its "
            "file in config/methods"
        )
    for phase in (training := settings["training"][length])["phases"]:
        if phase.get("warm_up", 0) >= phase["steps"]:
            raise InputError(
                f"method {name}: training.{length}.phases: a warm_up of {phase['warm_up']} steps "
                f"leaves none of {phase['steps']}; give fewer"
            )
    return training


def _check_components(method: Method, methods: dict[str, Method], config: Settings) -> None:
    seeds = config["cross_validation"]["seeds"]
    choices = ["own", "others", "all", *config["targets"]]
    for component in method.builds_on:
        where = f"method {method.name}: builds_on"
        other = methods[component.method]
        if not other.is_model or other.reads != "scan":
            raise InputError(f"{where}: {other.name} is a scan; name a method that fits a model")
        if method.wing == "networks" and other.wing != "networks":
            raise InputError(f"{where}: {other.name} is no network; a network builds on networks")
        if component.target not in choices:
            raise InputError(
                f"{where}: no target '{component.target}'{suggest(component.target, choices)}"
            )
        if method in with_components(other, methods):
            raise InputError(f"{where}: {other.name} builds on {method.name}; break the circle")
        if component.target in ("own", "others") and "all" in (method.fits, other.fits):
            raise InputError(
                f"{where}: a model of all targets has no '{component.target}'; give target: all"
            )
        if component.seed == "others" and seeds < 2:
            raise InputError(
                f"configuration: cross_validation.seeds: method {method.name} builds on other "
                "seeds of its components; give at least 2"
            )
