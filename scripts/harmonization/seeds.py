"""Random seeds named by what they are for."""

import hashlib

import numpy as np


def seed_of(*names: object) -> int:
    """Derive a 63-bit seed from names, the same on every machine.

    Names, not sums: no two purposes share a stream by accident.
    """
    digest = hashlib.sha256("|".join(map(str, names)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator_of(*names: object) -> np.random.Generator:
    """Random generator of numpy seeded by `seed_of`."""
    return np.random.default_rng(seed_of(*names))
