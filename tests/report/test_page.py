"""The page of a run: what it shows, and what a browser without a network makes of it."""

import re
import zlib
from base64 import b64decode
from html.parser import HTMLParser

import pandas as pd
import pytest
import yaml
from browser import PROGRAM, browser
from conftest import EMBEDDED, ROOT

from harmonization.files import InputError
from harmonization.report.page import (
    TITLES,
    caption_of,
    for_reading,
    format_of,
    head,
    make_page,
    read_table,
)

CONFIG = EMBEDDED | {"run": "test", "targets": ["a_st", "b_sa"]}
CAPTIONS = {path.stem: path.read_text() for path in (ROOT / "workflow/report").glob("*.rst")}
EVIL = "<b>Bold</b> & </script>"
METHODS = pd.DataFrame(
    {
        "method": ["Noise", EVIL, "Ridge"],
        "family": ["control", "msp", "classical"],
        "role": ["control", "rival", "rival"],
        "n": [1, 1, 1],
        "a_st": [0.0139, 0.00245, 0.0102],
        "a_st_sd": [None] * 3,
        "a_st_excess": [0.012, 0.0016, 0.009],
    }
)
CHANGES = pd.DataFrame(
    [
        {"method": method, "family": "msp", "role": "rival", "against": "ESPCN", "metric": metric}
        | {"target": target, "change": change, "low": None, "high": None, "wins": 1, "n": 1}
        for method, factor in (("Noise", 10), ("MSP", -1))
        for metric in ("patch_mse", "excess")
        for target, change in (("mean", 2.0 * factor), ("a_st", factor), ("b_sa", 3.0 * factor))
    ]
)


def png(red):
    """A PNG image of one colour, wider than a thumbnail."""

    def chunk(kind, content):
        checked = kind + content
        length = len(content).to_bytes(4)
        return length + checked + zlib.crc32(checked).to_bytes(4)

    head = (900).to_bytes(4) + (600).to_bytes(4) + bytes([8, 2, 0, 0, 0])
    rows = (b"\0" + bytes([red, 0, 0]) * 900) * 600
    content = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + content


@pytest.fixture
def files(tmp_path):
    """Tables, in no order, and figures of a run."""
    tables = {
        "about": pd.DataFrame({"method": ["Noise"], "summary": ["Long text. " * 20]}),
        "comparisons": CHANGES,
        "ablations": CHANGES[:0],
        "patch_mse": METHODS,
        "claims": pd.DataFrame(
            {"claim": ["C1"], "statement": ["It is."], "reason": ["-"], "verdict": ["supported"]}
        ),
        "of_the_future": pd.DataFrame({"subject": ["01", "02"], "value": [1, 2]}),
    }
    for name, table in tables.items():
        table.to_csv(tmp_path / f"{name}.csv", index=False, lineterminator="\n")
    figures = ["improvements", "regions", "errors_a_st"]
    for place, name in enumerate(figures):
        (tmp_path / f"{name}.png").write_bytes(png(100 + place))
    return {
        "tables": [tmp_path / f"{name}.csv" for name in tables],
        "figures": [tmp_path / f"{name}.png" for name in figures],
    }


@pytest.fixture
def page(files):
    return make_page(CONFIG, CAPTIONS | {"of_the_future": "New. Not listed."}, **files)


class Elements(HTMLParser):
    """All elements of a page: name and attributes."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


# --- What it shows


def test_claims_come_first_and_tables_that_are_not_listed_last(page):
    names = [a["id"] for tag, a in Elements(page).found if tag == "h2"]
    assert names == [
        *("claims_table", "patch_mse_table", "comparisons_table", "ablations_table"),
        *("about_table", "of_the_future_table", "figures"),
    ]


def test_a_table_without_rows_says_so(page):
    assert "This run has none." in page.split('id="ablations_table"')[1].split("<h2")[0]
    assert 'id="ablations"' not in page


def test_labels_and_names_are_no_html(page):
    assert "<b>Bold" not in page
    assert page.count("</script>") == 1
    assert "Run &lt;i&gt;" in make_page(CONFIG | {"run": "<i>"}, CAPTIONS, [], [])


def test_it_loads_nothing_else(page):
    for _, attributes in Elements(page).found:
        for name in ("src", "href", "srcset", "data", "action"):
            assert attributes.get(name, "#").startswith(("#", "data:"))
    style = "".join(re.findall(r"<style>(.*?)</style>", page, flags=re.DOTALL))
    assert "@import" not in style
    assert all(url.startswith("data:") for url in re.findall(r"url\([\"']?([^)]*)", style))


def test_the_library_is_there_once(page):
    assert page.count("data:text/javascript") == 1
    assert page.count("new ITable(") == 1


def test_every_figure_is_embedded_with_its_caption(page, files):
    images = [a for tag, a in Elements(page).found if tag == "img" and "src" in a]
    assert [image["alt"] for image in images] == ["improvements", "regions", "errors_a_st"]
    for image, path in zip(images, files["figures"], strict=True):
        kind, content = image["src"].split(",")
        assert kind == "data:image/png;base64"
        assert b64decode(content) == path.read_bytes()
    assert "One slice of a_st, through the lesion" in page  # what Snakemake fills in
    assert "Mean squared error of every rival by region" in page  # not that of the table


def test_the_same_tables_give_the_same_page(page, files):
    assert make_page(CONFIG, CAPTIONS | {"of_the_future": "New. Not listed."}, **files) == page


def test_the_first_sentence_of_a_caption_stands_above_the_folded_others(tmp_path):
    captions = {"cost": "What *it* costs, e.g. seconds. And more. And more."}
    caption = caption_of(tmp_path / "cost.png", captions, CONFIG)
    assert caption.startswith("<p>What <em>it</em> costs, e.g. seconds.</p>")
    assert "<details><summary>More</summary><p>And more. And more.</p>" in caption


def test_every_listed_table_has_a_caption():
    assert set(TITLES) <= set(CAPTIONS)


def test_errors_are_thousandths_and_empty_columns_are_left_out():
    shown = for_reading("patch_mse", METHODS, CONFIG)
    assert list(shown) == ["method", "family", "role", "n", "a_st", "a_st excess"]
    assert list(shown["a_st"]) == ["13.900", "2.450", "10.200"]
    assert list(shown["n"]) == ["1", "1", "1"]


def test_a_target_whose_name_begins_with_that_of_another_keeps_its_own():
    targets = ["prisma", "prisma_st"]
    assert head("prisma_st_excess", targets, has_unit=False) == "prisma_st excess"
    assert head("prisma_excess", targets, has_unit=False) == "prisma excess"


def test_comparisons_have_a_row_for_each_method_and_a_column_for_each_target():
    shown = for_reading("comparisons", CHANGES, CONFIG)
    heads = ["method", "family", "against", "change (%)", "wins", "n"]
    assert list(shown) == [*heads, "a_st change (%)", "b_sa change (%)"]
    assert list(shown["change (%)"]) == ["+20.0", "-2.0"]
    assert list(shown["b_sa change (%)"]) == ["+30.0", "-3.0"]


def test_regions_show_the_excess_where_there_is_one():
    table = pd.DataFrame(
        {"region": "csf", "metric": ["mse", "excess"], "order": ["all", "0"], "n": 2}
    ).assign(Ridge=[0.0045, 0.0015])
    shown = for_reading("regions", table, CONFIG)
    assert shown.to_numpy().tolist() == [["csf", "0", "2", "1.500"]]
    shown = for_reading("regions", table[:1], CONFIG)
    assert shown.to_numpy().tolist() == [["csf", "all", "2", "4.500"]]


def test_a_study_of_limited_data_shows_how_much_each_fold_learns_from():
    row = {"subjects": 1, "patches": "all", "method": "Ridge", "patch_mse": 0.0015, "change": -2}
    shown = for_reading("limited_data", pd.DataFrame([row]), CONFIG)
    assert list(shown) == ["subjects", "patches", "method", "patch mse", "change (%)"]
    assert shown.to_numpy().tolist() == [["1", "all", "Ridge", "1.500", "-2.0"]]


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([1, 12_000, None], "12,000"),
        ([0.5, 12], "12.000"),
        ([0.5, 1234], "1,234.0"),
        ([1e-5, -2e-4], "-2.00e-04"),
        ([1, 3e12], "3.00e+12"),
        ([None], ""),
    ],
)
def test_a_column_is_rounded_as_a_whole(values, shown):
    values = pd.Series(values, dtype=float)
    how = format_of("x", values)
    assert "".join(how.format(value) for value in values.dropna()[-1:]) == shown


def test_labels_of_digits_keep_their_zeros(tmp_path):
    (tmp_path / "t.csv").write_text("subject,value,none\n01,3,\n10,,\n")
    table = read_table(tmp_path / "t.csv")
    assert list(table["subject"]) == ["01", "10"]
    assert table["value"].iloc[0] == 3
    assert list(table["none"]) == ["", ""]


def test_labels_of_digits_are_no_quantities(tmp_path):
    (tmp_path / "t.csv").write_text("subject,value\n2019010101,1\n2019010102,2\n")
    shown = for_reading("registration", read_table(tmp_path / "t.csv"), {"targets": []})
    assert list(shown["subject"]) == ["2019010101", "2019010102"]


# --- What is refused


def test_a_file_that_is_no_table_is_named(files):
    files["tables"][0].write_text("")
    with pytest.raises(InputError, match=r"about\.csv: is not a CSV table"):
        make_page(CONFIG, CAPTIONS | {"of_the_future": ""}, **files)


def test_an_image_that_is_cut_off_is_named(files):
    files["figures"][1].write_bytes(files["figures"][1].read_bytes()[:-9])
    with pytest.raises(InputError, match=r"regions\.png: is not a whole PNG image"):
        make_page(CONFIG, CAPTIONS | {"of_the_future": "New."}, **files)


def test_a_table_without_a_caption_is_named(files):
    with pytest.raises(InputError, match=r"of_the_future\.csv: has no caption; write workflow"):
        make_page(CONFIG, CAPTIONS, **files)


def test_the_command_leaves_no_half_of_a_page(command, files, tmp_path):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    options = {"config": tmp_path / "config.yaml", "captions": '{"workflow": "Run."}'}
    options |= {"tables": files["tables"], "figures": files["figures"]}
    options |= {"output": tmp_path / "out/index.html"}
    status, error = command("make_page", options)
    assert status == 1
    assert re.fullmatch(r"error: .*\.csv: has no caption.*\n", error)
    assert not list(tmp_path.glob("out/*"))


# --- In a browser

needs_chromium = pytest.mark.skipif(
    PROGRAM is None, reason="there is no Chromium to open pages with"
)
ROWS = "[...document.querySelectorAll('#patch_mse tbody tr')].map(row => row.cells[{}].innerText)"
HEADS = "[...document.querySelectorAll('#patch_mse thead th')].map(cell => cell.innerText)"


@pytest.fixture
def opened(page, tmp_path):
    """The page, opened from the disk in a browser that has no network."""
    (tmp_path / "index.html").write_text(page)
    with browser(tmp_path / "browser") as view:
        view.open((tmp_path / "index.html").as_uri())
        view.wait_for("document.querySelectorAll('table.dataTable').length == 5")
        yield view
        local = ("file:", "data:", "blob:")
        assert [url for url in view.requests if not url.startswith(local)] == []
        assert view.errors == []


@needs_chromium
def test_a_browser_shows_sorts_and_filters_tables(opened):
    assert opened.value(HEADS)[4:] == ["a_st", "a_st excess"]
    assert opened.value(ROWS.format(0)) == ["Noise", EVIL, "Ridge"]
    for order in (["2.450", "10.200", "13.900"], ["13.900", "10.200", "2.450"]):
        opened.click("#patch_mse thead th:nth-child(5)")
        opened.wait_for(f"{ROWS.format(4)}.join() == '{','.join(order)}'")
    opened.click("#patch_mse_wrapper input")
    opened.write("rid")
    opened.wait_for(f"{ROWS.format(0)}.join() == 'Ridge'")
    assert opened.value("document.querySelectorAll('#comparisons tbody tr').length") == 2


@needs_chromium
def test_a_click_enlarges_a_figure_and_escape_closes_it(opened):
    width = "document.querySelector('{} img').getBoundingClientRect().width"
    thumbnail = opened.value(width.format("#figure_errors_a_st"))
    assert not opened.value("document.querySelector('dialog').open")
    opened.click("#figure_errors_a_st button")
    opened.wait_for("document.querySelector('dialog').open")
    opened.wait_for("document.querySelector('dialog img').naturalWidth == 900")
    assert opened.value(width.format("dialog")) > 2 * thumbnail
    said = opened.value("document.querySelector('dialog').innerText")
    assert "errors_a_st" in said
    assert "Much of the error is the noise of the target itself" in said
    opened.press("Escape", 27)
    opened.wait_for("!document.querySelector('dialog').open")
