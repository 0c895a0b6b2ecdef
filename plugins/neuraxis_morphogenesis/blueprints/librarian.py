"""The librarian: brings kernels from the library to those who ask, and keeps the newest ones at hand.

A kernel at hand is bytes with a checksum, and is hashed anew before it is handed out. Where it comes from decides
the tick of the answer, so what is at hand is state, and not a cache that a crash may forget.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

from msgspec import Struct

from neuraxis import Actor, Context, Effect, Input, Outcome, Output, message, on, on_outcome, parameter, state
from neuraxis_morphogenesis.blueprints.errors import ArtefactCorrupt
from neuraxis_morphogenesis.blueprints.kernels import Sealed
from neuraxis_morphogenesis.blueprints.library import Library
from neuraxis_morphogenesis.contracts import (
    KernelArtifactError,
    KernelArtifactReady,
    KernelCatalogUpdate,
    KernelPrefetchRequest,
)


@final
@message("morphogenesis.fetch_kernel")
class FetchKernel(Effect, Struct, frozen=True):
    """Fetches one kernel.

    Attributes:
        library: Path of the library.
        name: Of the kernel.
    """

    library: str
    name: str

    def perform(self, key: str) -> Sealed:
        """Return the kernel, checked.

        Raises:
            ArtefactMissing: There is none.
            ArtefactCorrupt: It is damaged.
            BlueprintRefused: It is adversarial.
        """
        return Library(self.library).fetch(self.name)


class Librarian(Actor):
    """Answers requests for kernels that the compiler announced.

    Determinism: exact.
    """

    effects = (FetchKernel,)

    library: str = parameter(str, help="path of the library; write it relative: messages carry it")
    at_hand_max: int = parameter(int, 32, help="kernels at hand; the one unused for longest goes", at_least=1)
    delay: int = parameter(int, 1, unit="ticks", help="until a kernel that is not at hand arrives", at_least=1)

    update = Input(KernelCatalogUpdate, "a kernel lies in the library")
    request = Input(KernelPrefetchRequest, "somebody wants a kernel, by blueprint or by the name of the kernel")
    ready = Output(KernelArtifactReady, "where it is, and what it must hash to")
    kernel = Output(Sealed, "the kernel itself, after `ready`")
    failed = Output(KernelArtifactError, "it cannot be had")

    known: dict[str, KernelCatalogUpdate] = state(factory=dict)
    newest: dict[str, str] = state(factory=dict)
    at_hand: dict[str, Sealed] = state(factory=dict)
    asked: dict[int, KernelPrefetchRequest] = state(factory=dict)
    hits: int = state(0)
    misses: int = state(0)
    refused: int = state(0)

    @on(update)
    def learn(self, _: Context, update: KernelCatalogUpdate) -> None:
        """Remember what there is. A kernel that was made anew is not at hand any more."""
        self.known[update.artifact_ref] = update
        self.newest[update.blueprint_id] = update.artifact_ref
        held = self.at_hand.get(update.artifact_ref)
        if held is not None and held.checksum != update.checksum:
            del self.at_hand[update.artifact_ref]

    @on(request)
    def ask(self, context: Context, request: KernelPrefetchRequest) -> None:
        """Hand out what is at hand; fetch the rest."""
        name = self.newest.get(request.blueprint_id, request.blueprint_id)
        if name not in self.known:
            self._refuse(context, request, f"no kernel of {request.blueprint_id} was compiled")
        elif name in self.at_hand:
            self.hits += 1
            self._hand_out(context, request, self.at_hand.pop(name))
        else:
            self.misses += 1
            ticket = context.effect(FetchKernel(self.library, name), delay=self.delay, to="fetched")
            self.asked[int(ticket)] = request

    @on_outcome("fetched")
    def fetched(self, context: Context, outcome: Outcome) -> None:
        """Hand out what was fetched, or say why not."""
        request = self.asked.pop(outcome.ticket)
        if outcome.status == "value":
            self._hand_out(context, request, outcome.value)
        else:
            self._refuse(context, request, outcome.error or "not fetched by its deadline")

    def figures(self) -> Mapping[str, int | float | str | None]:
        """How many requests met a kernel at hand, and how many none at all."""
        return {"hits": self.hits, "misses": self.misses, "refused": self.refused}

    def _hand_out(self, context: Context, request: KernelPrefetchRequest, found: Sealed) -> None:
        update = self.known[found.name]
        try:
            found.opened()
            if found.checksum != update.checksum:
                raise ArtefactCorrupt(artefact=found.name, reason="it is not the kernel that was announced")
        except ArtefactCorrupt as error:
            self._refuse(context, request, str(error))
            return
        self.at_hand[found.name] = found  # at the end: the first one is unused for longest
        while len(self.at_hand) > self.at_hand_max:
            del self.at_hand[next(iter(self.at_hand))]
        context.send(
            "ready",
            KernelArtifactReady(
                request_id=request.request_id,
                blueprint_id=update.blueprint_id,
                artifact_ref=found.name,
                checksum=found.checksum,
                guard_digest=update.guard_digest,
            ),
        )
        context.send("kernel", found)

    def _refuse(self, context: Context, request: KernelPrefetchRequest, reason: str) -> None:
        self.refused += 1
        context.send(
            "failed",
            KernelArtifactError(request_id=request.request_id, blueprint_id=request.blueprint_id, reason=reason),
        )
