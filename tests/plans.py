"""Plans of small runs, and of those in config/."""

import yaml
from conftest import EMBEDDED, ROOT

from harmonization.plan.configuration import merge
from harmonization.plan.plan import Plan

TINY = merge(EMBEDDED, yaml.safe_load((ROOT / "tests/tiny.yaml").read_text())) | {"overrides": {}}


def plan(config=TINY, **changes):
    return Plan(merge(config, changes), ROOT)


def run(name, **changes):
    return plan(
        merge(EMBEDDED, yaml.safe_load((ROOT / f"config/{name}.yaml").read_text())), **changes
    )
