"""Read and check the phantom's parameter file; no heavy imports, as the Snakefile loads it."""

from pathlib import Path
from typing import Any

from harmonization.files import InputError
from harmonization.plan.schemas import check, read_yaml, suggest

SCHEMA = Path(__file__).parents[3] / "workflow/schemas/phantom.schema.yaml"


def read_parameters(path: Path) -> dict[str, Any]:
    """Read and check the parameters of a phantom.

    Raises
    ------
    InputError
        If the file is missing or not YAML, a value does not fit the schema, or a platform's scanner
        does not exist.
    """
    content = read_yaml(path, "no such file; change dataset.parameters")
    parameters = check(content, SCHEMA, str(path))
    for name, bundle in parameters["bundles"].items():
        if len(bundle["points"]) != len(bundle["radii"]):
            raise InputError(
                f"{path}: bundles.{name}: {len(bundle['points'])} points and "
                f"{len(bundle['radii'])} radii; give a radius for each point"
            )
    scanners = list(parameters["scanners"])
    for name, platform in parameters["platforms"].items():
        if platform["scanner"] not in scanners:
            raise InputError(
                f"{path}: platforms.{name}.scanner: no scanner '{platform['scanner']}'"
                f"{suggest(platform['scanner'], scanners)}"
            )
    return parameters


def check_phantom(config: dict[str, Any], parameters: dict[str, Any]) -> None:
    """Refuse a configuration that asks for more than the phantom's parameters offer.

    Raises
    ------
    InputError
        If a platform of the run does not exist or lacks the shell that the run uses.
    """
    known, shell = parameters["platforms"], config["spherical_harmonics"]["shell"]
    for name in [config["source"], *config["targets"]]:
        if name not in known:
            raise InputError(
                f"configuration: platforms: the phantom has no platform '{name}'"
                f"{suggest(name, list(known))}"
            )
        if shell not in known[name]["shells"]:
            raise InputError(
                f"configuration: spherical_harmonics.shell: platform {name} of the phantom has no "
                f"b={shell}; it has {list(known[name]['shells'])}"
            )
