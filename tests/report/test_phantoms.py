"""Rankings and declared comparisons of several phantoms."""

import numpy as np
import pandas as pd
import pytest

from harmonization.files import InputError
from harmonization.report.phantoms import agreement, declared_changes, draw_phantoms, ranking

FAMILIES = {"MSP": "msp", "ESPCN": "single_task", "Ridge": "classical", "Identity": "control"}


def comparisons(changes):
    """A run's table: changes against the MSP, and others that do not count."""
    usual = {"against": "MSP", "metric": "patch_mse", "target": "mean"}
    rows = [{**usual, "method": name, "change": change} for name, change in changes.items()]
    rows += [{**row, "metric": "excess", "change": -row["change"]} for row in rows]
    rows += [{**row, "target": "prisma_st", "change": 2.0} for row in rows]
    # The first reference, against which the MSP itself has a row.
    first = {**usual, "against": "ESPCN", "change": 99.0}
    rows = [{**first, "method": name} for name in FAMILIES if name != "ESPCN"] + rows
    table = pd.DataFrame(rows).assign(wins=1, n=4, p=0.125)
    table["family"] = table["method"].map(FAMILIES)
    return table.assign(low=table["change"] - 1, high=table["change"] + 1)


def claims(**changes):
    table = pd.DataFrame({"claim": changes.keys(), "change": changes.values()})
    table = table.assign(method="MSP", against="ESPCN", low=-1.0, high=1.0, wins=1, n=4, p=0.125)
    return table.assign(declared=table["claim"] != "Own")


FIRST = comparisons({"Identity": 50.0, "Ridge": 5.0, "ESPCN": -2.0})
SECOND = comparisons({"Identity": 50.0, "Ridge": 1.0, "ESPCN": 2.0})


def test_methods_are_ranked_in_each_phantom():
    ranks = ranking({"1": FIRST, "2": SECOND})
    table = ranks.pivot_table("rank", index="method", columns="phantom")
    assert table.to_dict() == {
        "1": {"ESPCN": 1, "MSP": 2, "Ridge": 3},
        "2": {"MSP": 1, "Ridge": 2, "ESPCN": 3},
    }
    # In the order of the mean ranks 1.5, 2 and 2.5.
    assert list(dict.fromkeys(ranks["method"])) == ["MSP", "ESPCN", "Ridge"]
    assert dict(zip(ranks["method"], ranks["family"], strict=True)) == {
        name: family for name, family in FAMILIES.items() if family != "control"
    }
    of_reference = ranks[ranks["method"] == "MSP"]
    assert (of_reference["change"] == 0).all()
    assert of_reference[["low", "high", "p"]].isna().all(axis=None)


def test_equal_errors_share_a_rank_and_do_not_hide_the_reference():
    """An MSP that validation leaves as it started has the errors of its single network."""
    alike = comparisons({"Ridge": 5.0, "ESPCN": 0.0}).assign(low=np.nan, high=np.nan)
    ranks = ranking({"1": alike})
    assert ranks.set_index("method")["rank"].to_dict() == {"MSP": 1, "ESPCN": 1, "Ridge": 3}
    assert (
        "against MSP"
        in draw_phantoms(ranks, declared_changes({"1": claims()})).axes[0].get_xlabel()
    )


def test_a_run_may_have_one_reference_alone():
    alone = FIRST[FIRST["against"] == "MSP"]
    assert set(ranking({"1": alone})["method"]) == {"MSP", "ESPCN", "Ridge"}


def test_agreement_is_that_of_pairs():
    """Of the three pairs of methods, the two phantoms order one alike and two otherwise."""
    assert agreement(ranking({"1": FIRST, "2": SECOND})) == pytest.approx((-1 / 3, -1 / 3))
    of_three = agreement(ranking({"1": FIRST, "2": SECOND, "3": FIRST}))
    assert of_three == pytest.approx((-1 / 3, 1))


def test_phantoms_with_other_methods_are_refused():
    with pytest.raises(InputError, match="phantom 2 has other methods than phantom 1"):
        ranking({"1": FIRST, "2": SECOND[SECOND["method"] != "Ridge"]})
    with pytest.raises(InputError, match="another reference"):
        ranking({"1": FIRST, "2": SECOND[SECOND["against"] == "ESPCN"]})


def test_declared_comparisons_are_kept_in_their_order():
    found = declared_changes(
        {"1": claims(C2=1.0, C1=2.0, Own=3.0), "2": claims(C2=np.nan, C1=4.0, Own=5.0)}
    )
    assert list(zip(found["claim"], found["phantom"], found["change"], strict=True)) == [
        *[("C2", "1", 1.0), ("C1", "1", 2.0), ("C1", "2", 4.0)]
    ]


@pytest.mark.parametrize("phantoms", [["1"], ["1", "2", "3"]])
def test_the_figure_shows_every_change_and_rank(phantoms):
    ranks = ranking({name: [SECOND, FIRST][name == "1"] for name in phantoms})
    declared = declared_changes({name: claims(C1=-1.0, C2=1.0) for name in phantoms})
    figure = draw_phantoms(ranks, declared)
    left, right = figure.axes
    names = [text.get_text() for text in left.get_yticklabels()]
    assert set(names) == {"MSP", "ESPCN", "Ridge"}
    for phantom in phantoms:
        (line,) = (line for line in left.lines if line.get_gid() == f"phantom {phantom}")
        drawn = dict(zip(names, line.get_xdata(), strict=True))
        of_phantom = ranks[ranks["phantom"] == phantom].set_index("method")
        assert drawn == of_phantom["change"].to_dict()
    assert [text.get_text() for text in right.get_yticklabels()] == ["C1", "C2"]
    shown = dict(zip(names, (text.get_text().split() for text in left.texts), strict=True))
    assert shown["ESPCN"] == ["1", *["3"] * (len(phantoms) - 1)]
    assert "MSP" in left.get_xlabel()
    assert right.get_xlabel().endswith("left is for MSP")
    assert (figure.get_suptitle() != "") == (len(phantoms) > 1)
