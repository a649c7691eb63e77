"""What is known of the paper's settings, beside those of a run."""

import pytest
import yaml
from conftest import EMBEDDED, ROOT

from harmonization.files import InputError
from harmonization.plan.claims import read_settings
from harmonization.plan.plan import Plan
from harmonization.plan.presentation import Presentation

SCHEMA = ROOT / "workflow/schemas/known_settings.schema.yaml"


def row(ours):
    return {"setting": "S", "certainty": "not read", "paper": "", "ours": ours}


@pytest.mark.parametrize(
    ("ours", "shown"),
    [
        ("patches.core", "7"),
        ("targets", "prisma_st; connectom_st"),
        ("patches", "core 7, minimum 0.5"),
        ("a text. With two sentences", "a text. With two sentences"),
        ("methods.espcn.training", "not in this run"),
    ],
)
def test_a_key_becomes_its_value(tmp_path, ours, shown):
    path = tmp_path / "known.yaml"
    path.write_text(yaml.safe_dump([row(ours)]))
    config = {"patches": {"core": 7, "minimum": 0.5}, "targets": ["prisma_st", "connectom_st"]}
    config["methods"] = {"ridge": {}}
    assert read_settings(path, SCHEMA, config)[0]["ours"] == shown


def test_a_wrong_row_is_refused(tmp_path):
    path = tmp_path / "known.yaml"
    path.write_text(yaml.safe_dump([row("x") | {"certainty": "guessed"}]))
    with pytest.raises(InputError, match="'guessed' is not one of"):
        read_settings(path, SCHEMA, {})


def test_every_key_in_the_repository_is_one():
    """A key that was renamed would be shown as a text."""
    settings = {r["setting"]: r for r in Presentation(Plan(EMBEDDED, ROOT)).known_settings()}
    given = yaml.safe_load((ROOT / "config/known_settings.yaml").read_text())
    keys = [r for r in given if " " not in r["ours"]]
    assert len(keys) > 10
    for known in keys:
        assert settings[known["setting"]]["ours"] not in (known["ours"], "not in this run")
