"""The machinery of fitting and applying models, which names no network."""
