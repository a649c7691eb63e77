"""What jobs ask a cluster for."""

from collections.abc import Callable


def needs(gigabytes: int, minutes: int) -> dict[str, Callable[..., int]]:
    """Memory and time of a rule's job, for Snakemake's `resources`.

    A job that failed gets that much more with each further attempt: twice, three times, ... Both
    are upper limits, generous for whole heads. On one machine nothing is limited.

    Parameters
    ----------
    gigabytes, minutes : int
        Of the first attempt.
    """

    def growing(first: int) -> Callable[..., int]:
        return lambda _wildcards, attempt: first * attempt

    return {"mem_mb": growing(1000 * gigabytes), "runtime": growing(minutes)}
