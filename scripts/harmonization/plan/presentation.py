"""What the tables, the figures and the page of a run show of its methods."""

from collections.abc import Iterable
from copy import copy
from functools import cached_property

from harmonization.files import read_text
from harmonization.plan.claims import read_settings
from harmonization.plan.methods import modules_of, read_methods
from harmonization.plan.plan import ModelKey, Plan
from harmonization.plan.references import read_references
from harmonization.plan.schemas import Settings
from harmonization.plan.version import code_version

# What figures compare all methods with: the first of these that a run has.
REFERENCE_METHODS = ("msp_espcn", "espcn", "identity")
LINEAR_METHOD = "ridge"  # what learning curves are compared with
BRANCHED_NETWORK = "multi_stage"  # the network whose cards have contributions of branches
DRAWN = ("espcn", "mtl_hard", "mtl_cross_stitch", "msp_espcn")  # methods whose networks are drawn


class Presentation:
    """What the tables, the figures and the page of a run show of its methods.

    Parameters
    ----------
    plan : Plan
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.compared = {name: plan.methods[name] for name in plan.config["methods"]}

    # --- Tables

    def table_rows(self) -> dict[str, dict[str, str]]:
        """What tables say of the methods, in their order."""
        return {
            name: {"label": m.label, "family": m.family, "role": m.role, "selects_on": m.selects_on}
            for name, m in self.compared.items()
        }

    def described(self) -> dict[str, dict[str, str]]:
        """What the methods of the run do, where they come from and what they need."""
        return {
            name: {
                key: getattr(m, key) for key in ("label", "family", "role", "summary", "citation")
            }
            | {"references": " ".join(m.references), "hardware": m.hardware}
            for name, m in self.compared.items()
        }

    def bibliography(self) -> dict[str, str]:
        """BibTeX entries of what the methods of the run go back to, by key."""
        cited = {}
        for name, method in self.compared.items():
            for path in self.plan.bibliographies(name):
                entries = read_references(path)
                cited |= {k: entries[k] for k in method.references if k in entries}
        return cited

    def method_settings(self) -> dict[str, Settings]:
        """Settings of every method, for the merged configuration beside the results."""
        return {
            name: {"family": m.family, "role": m.role, "label": m.label, "citation": m.citation}
            | ({"scan": m.scan} if m.scan else {**m.fit_settings, "reads": m.reads})
            for name, m in self.plan.methods.items()
        }

    def known_settings(self) -> list[dict[str, str]]:
        """Settings of the paper, as far as they are known, beside those of the run."""
        root = self.plan.root
        return read_settings(
            root / "config/known_settings.yaml",
            root / "workflow/schemas/known_settings.schema.yaml",
            {**self.plan.config, "methods": self.method_settings()},
        )

    def task(self) -> list[str]:
        """A method that is applied to the source, and the same one on the source without noise."""
        for noise_free in (m for m in self.compared.values() if m.reads == "truth"):
            for noisy in (m for m in self.compared.values() if m.reads == "scan"):
                if noisy.is_model and noisy.fit_settings == noise_free.fit_settings:
                    return [noisy.name, noise_free.name]
        return []

    # --- Captions

    def captions(self) -> dict[str, str]:
        """Captions of tables and figures, by name; ``workflow`` introduces the run."""
        return {p.stem: read_text(p) for p in (self.plan.root / "workflow/report").glob("*.rst")}

    def data_in_words(self) -> str:
        """What the scans are, for the caption of the verdicts."""
        if self.plan.scans.data_source.simulated:
            return "simulated scans, which are not the paper's"
        if self.plan.scans.kind == "mushac":
            return "scans of the cross-scanner database that the paper takes its own from"
        return "scans that are not the paper's"

    # --- Figures

    def reference(self) -> str:
        """The method of a run with which figures compare all others."""
        return next((n for n in REFERENCE_METHODS if n in self.compared), next(iter(self.compared)))

    def rivals(self) -> list[str]:
        """Rivals of the method that figures compare them with."""
        rivals = [name for name, method in self.compared.items() if method.role == "rival"]
        return [name for name in rivals if name != self.reference()]

    def labels(self, names: Iterable[str]) -> dict[str, str]:
        """Labels of methods, components included, in the order of the tables."""
        wanted = set(names)
        in_order = {**self.compared, **self.plan.methods}
        return {name: method.label for name, method in in_order.items() if name in wanted}

    def branched_models(self) -> list[ModelKey]:
        """Models whose cards say what their branches contribute."""
        plugins = {name: method.plugin for name, method in self.plan.methods.items()}
        return [key for key in self.plan.models() if plugins[key.method] == BRANCHED_NETWORK]

    def linear_models(self) -> list[ModelKey]:
        """Models whose errors are shown beside learning curves; none if the run has none."""
        return [key for key in self.plan.models() if key.method == LINEAR_METHOD]

    def architectures(self) -> dict[str, Settings]:
        """Specifications of the networks whose construction is drawn, by label.

        They are drawn whether or not the run compares them.
        """
        drawn = self._drawn
        return {
            drawn.methods[name].label: drawn.specification(
                ModelKey(name, drawn.first_target(name), 0, 0)
            )
            for name in DRAWN
        }

    def architecture_version(self) -> str:
        """Hash of the code of the drawing and of the networks in it."""
        methods = self._drawn.methods
        modules = {module for name in DRAWN for module in modules_of(methods[name], methods)}
        return code_version(self.plan.root / "scripts", "plot_architecture", sorted(modules))

    @cached_property
    def _drawn(self) -> Plan:
        """The plan of the same run with the methods whose networks are drawn.

        Labels and networks are those of the run. A method that it gives a network of another kind
        or other components is drawn as its file says, under the label that it has there. What else
        the run overrides, such as what a method reads, might not suit one that it does not have.
        """
        # Their trainings are not drawn, and every method has a full one.
        config = {**self.plan.config, "methods": list(DRAWN), "overrides": {}, "training": "full"}
        for name, method in read_methods(config, self.plan.root).items():
            given = self.plan.config["overrides"].get(name, {})
            same = given.get("network", {}).get("name", method.plugin) == method.plugin
            kept = ("label", "network") if same and "builds_on" not in given else ()
            config["overrides"][name] = {key: given[key] for key in kept if key in given}
        drawn = copy(self.plan)
        drawn.methods = read_methods(config, self.plan.root)
        return drawn
