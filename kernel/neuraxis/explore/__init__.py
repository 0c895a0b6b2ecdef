"""Deterministic fault search: seeded faults, checked invariants and promises, and the smallest plan that fails.

The faults themselves are in `neuraxis.faults`.

trial.py    one run under a plan of faults, and what must hold in it
search.py   many plans from one seed, and the shrinking of one that fails
"""
