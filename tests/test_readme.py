"""Tables in the documentation follow from the scores that lie beside them."""

import re

import pandas as pd
import pytest
from conftest import ROOT

TARGETS = ["prisma_st", "connectom_st", "connectom_sa"]


def test_the_table_of_three_folds_follows_from_the_scores_of_every_subject():
    scores = pd.read_csv(ROOT / "docs/data/three_folds.csv", dtype={"subject": str})
    means = scores.groupby(["method", "target", "metric"], sort=False)["value"].mean() * 1000
    section = (ROOT / "README.md").read_text().split("## Three folds at equal computation")[1]
    rows = re.findall(r"^\|.*\|$", section.split("\n## ")[0], flags=re.MULTILINE)[2:]
    methods = list(dict.fromkeys(scores["method"]))
    assert len(rows) == len(methods)
    for row, method in zip(rows, methods, strict=True):
        shown = [float(number) for number in re.findall(r"\d+\.\d{3}", row)]
        of_method = means[method]
        expected = [of_method[t, metric] for t in TARGETS for metric in ("patch_mse", "excess")]
        assert shown == pytest.approx(expected, abs=6e-4), method  # three digits are shown
