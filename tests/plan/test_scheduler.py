"""Nothing keeps a finished run from ending."""

import threading

from harmonization.plan.scheduler import cancel_timers


def test_timers_are_cancelled():
    timer = threading.Timer(3600, print)
    timer.start()
    cancel_timers()
    timer.join(timeout=10)
    assert not timer.is_alive()
