import json

import pandas as pd
import pytest
from matplotlib.text import Text

from harmonization.report.limited_data import draw_limited_data, limited_data_table

METHODS = {"espcn": {"label": "ESPCN"}, "mtl": {"label": "MTL"}}
FOLDS = {
    str(fold): {"subjects": subjects, "patches": patches, "draw": draw}
    for fold, (subjects, patches, draw) in enumerate(
        (s, p, d) for s in ("1", "2") for p in ("8", "all") for d in ("0", "1")
    )
}


def scores(target="a", **errors):
    """Errors of methods in each fold, with a region that does not count."""
    rows = [
        {"method": method, "family": "single_task", "target": target, "fold": fold, "seed": 0}
        | {"subject": "01", "region": region, "metric": "patch_mse", "value": value * factor}
        for method, values in errors.items()
        for fold, value in enumerate(values)
        for region, factor in (("brain", 1), ("lesion", 100))
    ]
    return pd.DataFrame(rows)


METRICS = scores(espcn=[2, 4, 1, 1, 1, 1, 1, 1], mtl=[1, 3, 1.5, 1.5, 2, 2, 1, 1])


def test_changes_are_of_the_same_draw_and_then_averaged():
    table = limited_data_table(METRICS, METHODS, ["a"], FOLDS)
    assert list(table["method"]) == ["ESPCN", "MTL"] * 4
    assert list(table["patches"][:4]) == ["8", "8", "all", "all"]
    assert (table.loc[table["method"] == "ESPCN", "change"] == 0).all()
    first = table.iloc[1]
    # -50 % and -25 %: not 2 against 3, which would be -33 %.
    assert (first["change"], first["lowest"], first["highest"]) == (-37.5, -50, -25)
    assert (first["patch_mse"], first["draws"]) == (2, 2)
    assert table.iloc[3]["change"] == 50


def test_seeds_are_averaged_before_anything_else():
    two = pd.concat([METRICS, METRICS.assign(seed=1, value=3 * METRICS["value"])])
    table = limited_data_table(two, METHODS, ["a"], FOLDS)
    assert table.iloc[1]["patch_mse"] == 4
    assert table.iloc[1]["change"] == -37.5


def test_a_panel_has_a_line_of_means_and_dots_of_draws():
    metrics = pd.concat([METRICS, METRICS.assign(target="b")])
    figure = draw_limited_data(metrics, METHODS, ["a", "b"], FOLDS)
    assert len(figure.axes) == 2 * 2 * 2
    changes = figure.axes[2]
    (line,) = [line for line in changes.lines if line.get_gid() == "mtl"]
    assert list(line.get_ydata()) == [-37.5, 50]
    dots = [line for line in changes.lines if line.get_gid() == "draws"]
    assert list(dots[1].get_ydata()) == [-50, -25, 50, 50]
    assert "b, 2 training subjects" in {text.get_text() for text in figure.findobj(Text)}


def test_more_methods_than_markers_are_told_apart():
    methods = {f"m{number}": {"label": f"M{number}"} for number in range(11)}
    metrics = scores(**dict.fromkeys(methods, [1] * 8))
    figure = draw_limited_data(metrics, methods, ["a"], FOLDS)
    dots = [line for line in figure.axes[0].lines if line.get_gid() == "draws"]
    assert len({(line.get_color(), line.get_marker()) for line in dots}) == len(methods)


@pytest.mark.parametrize("name", ["tabulate", "plot"])
def test_the_commands_write_both_files(command, tmp_path, name):
    METRICS.to_csv(tmp_path / "metrics.csv", index=False)
    options = {
        "metrics": tmp_path / "metrics.csv",
        "methods": json.dumps(METHODS),
        "targets": ["a"],
        "folds": json.dumps(FOLDS),
    }
    if name == "plot":
        written = [tmp_path / "figure.pdf", tmp_path / "figure.png"]
        options["output"] = written
    else:
        written = [tmp_path / "table.csv", tmp_path / "table.html"]
        options |= dict(zip(("csv", "html"), written, strict=True))
    assert command(f"{name}_limited_data", options) == (0, "")
    if name == "tabulate":
        assert pd.read_csv(written[0])["change"].tolist()[:4] == [0, -37.5, 0, 50]
        assert "-37.5" in written[1].read_text()
    else:
        assert all(path.stat().st_size > 5000 for path in written)
