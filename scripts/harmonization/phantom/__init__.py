"""Digital travelling heads: one person scanned on several platforms, all of it simulated.

In the order in which they build on each other: `fields` (smooth random fields), `atlas` (tissue and
fibre bundles in MNI space), `people`, `signal` (compartments), `scanner` (what hardware does to a
scan), `acquisition` (one scan), `effects` (scanner effects switched off) and `checks` (is it
plausible?).
"""
