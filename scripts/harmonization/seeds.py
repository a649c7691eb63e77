"""Random seeds, each named after its purpose."""

import hashlib

import numpy as np


def seed_of(*names: object) -> int:
    """Derive a 63-bit seed from names, the same on every machine.

    Names are used rather than sums, so that no two purposes share a stream by accident.
    """
    digest = hashlib.sha256("|".join(map(str, names)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator_of(*names: object) -> np.random.Generator:
    """NumPy random generator seeded by `seed_of`."""
    return np.random.default_rng(seed_of(*names))
