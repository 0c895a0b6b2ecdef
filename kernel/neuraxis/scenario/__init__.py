"""Scenario files: what a run is, in TOML.

model.py      the content of a scenario, and its canonical form
format.py     every key with its kind and a sentence of help: what is checked, documented and published
read.py       TOML files -> model, with includes and overrides, and every mistake at once
positions.py  where a key stands, looked up only when there is a mistake to show
resolve.py    names -> classes, resources and backends: model -> graph
expand.py     groups of actors and patterns of channels
expect.py     expectations on figures
schema.py     the JSON Schema by which editors complete and check
"""
