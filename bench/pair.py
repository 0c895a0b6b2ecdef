"""The plugin of `bench.cluster`: actors that send each other numbers in every tick."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from neuraxis import Actor, Context, Input, Manifest, Output, array, hookimpl, on, on_start, on_timer, parameter, state

MANIFEST = Manifest(name="pair", version="1.0")


class Player(Actor):
    """Sends what it gets back, one higher; begins with several balls in ticks that follow each other."""

    balls: int = parameter(int, 1, help="balls that it begins with", at_least=1)
    ball = Input(int, "from the other")
    out = Output(int, "to the other")
    served: int = state(0)

    @on_start
    def begin(self, context: Context) -> None:
        """Serve; both do, so that both have mail in every tick."""
        self.serve(context)

    @on_timer("serve")
    def serve(self, context: Context) -> None:
        """Send a ball, and another one in the next tick if there are more."""
        self.served += 1
        context.send("out", 0)
        if self.served < self.balls:
            context.wake(1, "serve")

    @on(ball)
    def hit(self, context: Context, ball: int) -> None:
        """Send it back."""
        context.send("out", ball + 1)


class Carrier(Actor):
    """Sends a large array back as it came."""

    numbers: int = parameter(int, help="its length", at_least=1)
    load = Input(array("int64", None), "from the other")
    out = Output(array("int64", None), "to the other")

    @on_start
    def begin(self, context: Context) -> None:
        """Send the first."""
        context.send("out", np.arange(self.numbers, dtype=np.int64))

    @on(load)
    def carry(self, context: Context, load: np.ndarray) -> None:
        """Send it back as it lies there: what is measured is the way."""
        context.send("out", load)


@hookimpl
def neuraxis_register_actors() -> Mapping[str, type[Actor]]:
    """Offer both."""
    return {"pair.player": Player, "pair.carrier": Carrier}
