"""Tables say what their cells do, whatever signs these are made of."""

import pandas as pd

from harmonization.report.tables import latex, plain

SIGNS = "</b> & {a_b} ~ 50 % \\x"


def test_no_sign_of_a_label_or_caption_is_taken_for_markup():
    table = pd.DataFrame({SIGNS: ["<i>"], "other": ["x"]})
    page = plain(table, SIGNS).to_html()
    assert "</b>" not in page
    assert "<i>" not in page
    assert page.count("&lt;/b&gt; &amp; {a_b}") == 2
    printed = latex(plain(table, SIGNS))
    assert "\\caption{</b> \\& \\{a\\_\\allowbreak b\\} \\~{} 50 \\% \\textbackslash{}x}" in printed
    assert "<i>" in printed
