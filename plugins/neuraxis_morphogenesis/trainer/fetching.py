"""How the trainer gets the kernel of a seed from the library: it asks, waits for a while, and checks what came.

What is missing, late, damaged or another kernel than was asked for is refused by name: the seeds actor is told, and
culls the seed. Training goes on meanwhile.

    kernel_missing   the librarian cannot hand it out
    kernel_late      it did not come within `kernel_ticks`
    kernel_corrupt   its bytes are not those that were announced
    kernel_wrong     it is the kernel of another blueprint, site or parameters
"""

from __future__ import annotations

from typing import Any

from neuraxis import Actor, Context, Input, Output, on, parameter, state
from neuraxis_morphogenesis.blueprints.catalogue import grant
from neuraxis_morphogenesis.blueprints.errors import ArtefactCorrupt, BlueprintRefused, BlueprintUnknown
from neuraxis_morphogenesis.blueprints.kernels import Kernel, Sealed, kernel_name
from neuraxis_morphogenesis.blueprints.site import Site
from neuraxis_morphogenesis.contracts import KernelArtifactError, KernelArtifactReady, KernelPrefetchRequest
from neuraxis_morphogenesis.messages import SlotOrder
from neuraxis_morphogenesis.model_time import now_ns


class Fetcher(Actor):
    """Asks a librarian for kernels, and keeps what it waits for.

    Determinism: exact.
    """

    modules: str = parameter(
        str, "catalogue", choices=("catalogue", "library"), help="whether seeds are built here, or fetched as kernels"
    )
    kernel_seed: int = parameter(int, 0, at_least=0, help="of the kernels that are asked for; their compiler's `seed`")
    kernel_ticks: int = parameter(int, 10, unit="ticks", at_least=3, help="until a kernel that was asked for is late")

    ready = Input(KernelArtifactReady, "a librarian: what a kernel must hash to")
    kernel = Input(Sealed, "a librarian: the kernel itself")
    failed = Input(KernelArtifactError, "a librarian: it cannot be had")
    request = Output(KernelPrefetchRequest, "asks a librarian for a kernel by its name")
    site = Output(Site, "where seeds may sit, at the start; for the compiler")

    fetching: dict[str, dict[str, Any]] = state(factory=dict)
    arrived: dict[str, Sealed] = state(factory=dict)
    fetched: int = state(0)

    def ask(self, context: Context, order: SlotOrder, site: Site) -> str:
        """Ask for the kernel of a seed. Returns why there can be none, or nothing."""
        try:
            granted = grant(order.blueprint_id, site, dict(order.parameters), approved=(order.blueprint_id,))
        except (BlueprintUnknown, BlueprintRefused) as error:
            return error.message()
        name = kernel_name(granted, self.kernel_seed)
        request_id = f"{context.path}/{order.slot}/{context.tick}"
        self.fetching[order.slot] = {
            "request": request_id,
            "name": name,
            "blueprint": order.blueprint_id,
            "parameters": dict(granted.parameters),
            "blend": order.blend,
            "until": context.tick + self.kernel_ticks,
            "checksum": "",
            "refusal": "",
        }
        asked = KernelPrefetchRequest(
            request_id=request_id, blueprint_id=name, training_run_id=context.path, issued_at_ns=now_ns(context)
        )
        context.send("request", asked)
        return ""

    @on(ready)
    def announced(self, _: Context, ready: KernelArtifactReady) -> None:
        """Note what the kernel must hash to."""
        for wanted in self.fetching.values():
            if wanted["request"] == ready.request_id:
                wanted["checksum"] = ready.checksum

    @on(kernel)
    def take(self, _: Context, sealed: Sealed) -> None:
        """Keep a kernel that a slot waits for, until the next boundary of a block."""
        if any(wanted["name"] == sealed.name for wanted in self.fetching.values()):
            self.arrived[sealed.name] = sealed

    @on(failed)
    def refused(self, _: Context, failed: KernelArtifactError) -> None:
        """Note that a kernel cannot be had."""
        for wanted in self.fetching.values():
            if wanted["request"] == failed.request_id:
                wanted["refusal"] = f"kernel_missing: {failed.reason}"

    def settled(self, context: Context, sites: dict[str, Site]) -> list[tuple[str, dict[str, Any], Kernel | str]]:
        """Return what became of kernels since the last boundary: slot, what was wanted, and the kernel or why not."""
        found: list[tuple[str, dict[str, Any], Kernel | str]] = []
        for slot, wanted in list(self.fetching.items()):
            sealed = self.arrived.get(wanted["name"])
            result: Kernel | str = wanted["refusal"]
            if not result and sealed is not None and wanted["checksum"]:
                result = _opened(sealed, wanted, sites[slot])
            if not result and context.tick >= wanted["until"]:
                result = f"kernel_late: {wanted['name']} did not come within {self.kernel_ticks} ticks"
            if result:
                found.append((slot, self.fetching.pop(slot), result))
        wanted_names = {wanted["name"] for wanted in self.fetching.values()}
        self.arrived = {name: sealed for name, sealed in self.arrived.items() if name in wanted_names}
        self.fetched += sum(isinstance(result, Kernel) for *_, result in found)
        return found


def _opened(sealed: Sealed, wanted: dict[str, Any], site: Site) -> Kernel | str:
    """Return a kernel if it is the one that was announced and asked for, or why not."""
    if sealed.checksum != wanted["checksum"]:
        return f"kernel_corrupt: {sealed.name} is not what was announced"
    try:
        kernel = sealed.opened()
    except ArtefactCorrupt as error:
        return f"kernel_corrupt: {error.message()}"
    asked = (wanted["blueprint"], site, wanted["parameters"])
    if (kernel.blueprint_id, kernel.site, dict(kernel.parameters)) != asked:
        return f"kernel_wrong: {sealed.name} holds {kernel.blueprint_id} for {kernel.site}"
    return kernel
