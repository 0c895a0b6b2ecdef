"""Seeds: modules that grow inside a host, and everything that guards the host against them.

lifecycle, gates     stages, legal moves, and what must be measured before a move
schedule, breaker    how alpha rises; what fails again and again is left alone
telemetry, report    events in bounded queues; packets, and lives as a table
book, keeper         what is known about each slot, and how a seed is moved
actor                what is measured and commanded becomes orders for the trainer
with_torch/          the slot runtime, which runs in the trainer
"""
