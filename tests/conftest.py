"""Settings of property tests: the same examples in every run, and ever new, more ones in `make prove`."""

from __future__ import annotations

import signal

from hypothesis import HealthCheck, settings

# A shell ignores SIGINT for what it runs in the background, and `nohup` SIGHUP; what tests start would ignore them too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile(
    "prove", max_examples=1_000, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("same")
