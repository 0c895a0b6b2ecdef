"""The public kit for people who test actors, plugins and scenarios.

One suite a seam: a class whose methods are clauses, named as sentences. Derive from it, say how to make
the thing, and run it under pytest, or anywhere with `run_suite`. The suites use plain asserts and do not
import pytest.
"""

from neuraxis.testing.actor_suite import ActorSuite
from neuraxis.testing.bus_suite import BusSuite
from neuraxis.testing.population_suite import PopulationSuite
from neuraxis.testing.suite import Clause, Suite, assert_uses_public_doors, run_suite
from neuraxis.testing.transport_suite import TransportSuite

__all__ = [
    "ActorSuite",
    "BusSuite",
    "Clause",
    "PopulationSuite",
    "Suite",
    "TransportSuite",
    "assert_uses_public_doors",
    "run_suite",
]
