"""Seeds: modules that grow inside a host, and everything that guards the host against them.

lifecycle, gates     stages, legal moves, and what must be measured before a move
schedule, breaker    how alpha rises; what fails again and again is left alone
telemetry            events in bounded queues
"""
