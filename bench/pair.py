"""The plugin of the benchmark of barriers: actors that send each other a number in every tick."""

from __future__ import annotations

from collections.abc import Mapping

from neuraxis import Actor, Context, Input, Manifest, Output, hookimpl, on, on_start, state

MANIFEST = Manifest(name="pair", version="1.0")


class Player(Actor):
    """Sends what it gets back, one higher."""

    ball = Input(int, "from the other")
    out = Output(int, "to the other")
    hits: int = state(0)

    @on_start
    def serve(self, context: Context) -> None:
        """Begin; both do, so that both have mail in every tick."""
        context.send("out", 0)

    @on(ball)
    def hit(self, context: Context, value: int) -> None:
        """Send it back."""
        self.hits += 1
        context.send("out", value + 1)


@hookimpl
def neuraxis_register_actors() -> Mapping[str, type[Actor]]:
    """Offer the player."""
    return {"pair.player": Player}
