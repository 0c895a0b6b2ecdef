"""Deterministic fault search: seeded faults, checked invariants and promises, and the smallest plan that fails.

faults.py   what can go wrong, written as a line of text, and how it is done to a scheduler
trial.py    one run under a plan of faults, and what must hold in it
search.py   many plans from one seed, and the shrinking of one that fails
"""
