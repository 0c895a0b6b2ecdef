"""Benchmarks. `python -m bench` runs all of them and prints one table; `python -m bench kernel` runs one."""
