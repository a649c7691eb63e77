"""The library that the commands in ``scripts/`` share.

Only `plan` works with Snakemake; the other wings know files, not rules. Importing the package
imports nothing else: the Snakefile reads modules of `plan`, and must stay quick to parse.
"""
