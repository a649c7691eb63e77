"""What the Snakefile needs to know: the checked configuration, methods, folds, scans and paths.

Every job loads it at its start, so it imports neither numpy nor torch.
"""
