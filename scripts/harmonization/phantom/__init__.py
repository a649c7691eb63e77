"""Digital travelling heads: simulated scans of one person on several platforms.

Each module builds on those before it: `fields` (smooth random fields), `atlas` (tissue and fibre
bundles in MNI space), `people`, `signal` (compartments), `scanner` (what hardware does to a scan),
`acquisition` (one scan), `effects` (scanner effects switched off) and `checks` (is the phantom
plausible?).
"""
