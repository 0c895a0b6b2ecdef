"""Deterministic fault search: seeded faults, checked invariants and promises, and the smallest plan that fails.

The faults themselves are in `neuraxis.faults`.

trial.py              one run under a plan of faults, and what must hold in it
search.py             many plans from one seed, and the shrinking of one that fails

Over real processes:

strikes.py            what may happen to the processes of a run and to the way between them, drawn from a seed
campaign.py           rounds, each compared with one process
round.py              one run, which is struck while it goes on
soldiers.py           the processes of its workers
struck_conductor.py   the process of its conductor
struck_worker.py      the process of a worker, whose frames are struck
"""
