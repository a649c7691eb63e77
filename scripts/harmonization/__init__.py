"""The library that the commands in ``scripts/`` share.

Nothing here knows Snakemake. Importing the package imports nothing else: the Snakefile reads
`configuration` and `paths`, and must stay quick to parse.
"""
