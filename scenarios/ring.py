"""The plugin of `ring.toml`: one kind of actor."""

from __future__ import annotations

from collections.abc import Mapping

from neuraxis import Actor, Context, Input, Manifest, Output, hookimpl, on, parameter, state

MANIFEST = Manifest(name="ring", version="1.0")


class Relay(Actor):
    """Passes a token on, one higher, until it is high enough."""

    limit: int = parameter(int, 1_000_000, help="keep tokens of this value and above", at_least=1)
    token = Input(int, "the token")
    onward = Output(int, "the token for the next relay")
    passed: int = state(0)

    @on(token)
    def pass_on(self, context: Context, value: int) -> None:
        """Count the token and hand it to the next relay."""
        self.passed += 1
        if value < self.limit:
            context.send("onward", value + 1)

    def figures(self) -> Mapping[str, int]:
        """How many tokens came by."""
        return {"passed": self.passed}


@hookimpl
def neuraxis_register_actors() -> Mapping[str, type[Actor]]:
    """Offer the kinds of actors of this file."""
    return {"ring.relay": Relay}
