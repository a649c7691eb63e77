"""Snakemake's scheduler: what it leaves behind."""

import threading


def cancel_timers() -> None:
    """Stop all timers of this process, for which Python would wait before it ends.

    Snakemake starts one after every job, to consider the waiting jobs again after the time span of
    its option ``max-jobs-per-timespan``. At the end of a run nothing is waiting.
    """
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.cancel()
