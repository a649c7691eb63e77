"""What the Snakefile needs to know: the checked configuration, methods, folds, scans and paths.

It is read at the start of every job, so it imports neither numpy nor torch.
"""
