"""The scheduler: a calendar of due mail, one loop, and what the loop leaves to others.

calendar.py      what is due when
context.py       what a handler sees: send, wake, stream, effect, offload, log
limits.py        messages_per_tick, capacity, overflow, lanes
supervision.py   what happens when an actor fails
effects.py       the only way out to the world
offload.py       driving async handlers
loop.py          one tick after the other
"""
