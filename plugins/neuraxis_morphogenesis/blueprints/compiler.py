"""The compiler: makes kernels of blueprints at the start of a run, as effects, and puts them into the library.

Each blueprint is an effect of its own: its intent is in the journal before it starts, it runs at least once, and
its outcome is a message. What is in the library already is not made again, so a run that was killed goes on where
it stood. A blueprint that fails is tried again after a pause that doubles, then given up by name; the others never
wait for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Final, final

from msgspec import Struct

from neuraxis import (
    Actor,
    Context,
    Effect,
    Input,
    Outcome,
    Output,
    message,
    on,
    on_outcome,
    on_start,
    on_timer,
    parameter,
    state,
)
from neuraxis_morphogenesis.blueprints.catalogue import Grant, described, grant, pool
from neuraxis_morphogenesis.blueprints.errors import (
    ArtefactCorrupt,
    ArtefactMissing,
    BlueprintRefused,
    BlueprintUnknown,
)
from neuraxis_morphogenesis.blueprints.forging import QUARANTINE, WORKSHOP, Mode, Order, forged
from neuraxis_morphogenesis.blueprints.kernels import Sealed, kernel_name
from neuraxis_morphogenesis.blueprints.library import Library
from neuraxis_morphogenesis.blueprints.site import Site
from neuraxis_morphogenesis.contracts import KernelArtifactError, KernelCatalogUpdate
from neuraxis_morphogenesis.contracts.pairs import Numbers

PAUSE_TICKS_MAX: Final = 60


@final
@message("morphogenesis.compile")
class CompileBlueprint(Effect, Struct, frozen=True, kw_only=True):
    """Makes one kernel and puts it into the library, unless it is there whole.

    Attributes:
        blueprint_id, parameters, site: What.
        seed: Of its first weights.
        mode: `compiled` makes machine code, too.
        library: Path of the library.
        cache: Folder of machine code; empty for the usual one.
    """

    blueprint_id: str
    parameters: Numbers
    site: Site
    seed: int
    mode: Mode
    library: str
    cache: str

    def perform(self, key: str) -> KernelCatalogUpdate:
        """Do it. The outcome is the same whether it was there already, so that a second time changes nothing.

        Raises:
            BlueprintRefused: It may not be made.
            ForgeFailed: It could not be made.
        """
        library = Library(self.library)
        granted = self._granted()
        name = kernel_name(granted, self.seed)
        made = self._held(library, name)
        if made is None or self.mode == "compiled":
            made = self._made(library, granted, name)
        return KernelCatalogUpdate(
            blueprint_id=self.blueprint_id,
            artifact_ref=name,
            checksum=made.checksum,
            guard_digest=made.opened().guard_digest,
        )

    def _granted(self) -> Grant:
        entry = described(self.blueprint_id)
        return grant(
            self.blueprint_id,
            self.site,
            dict(self.parameters),
            approved=(self.blueprint_id,),  # the actor asked for approval before it intended this
            quarantine=entry.quarantine_only,
        )

    def _held(self, library: Library, name: str) -> Sealed | None:
        """Return the kernel if the library has it whole and by this torch; else it is deleted, to be made again."""
        try:
            found = library.fetch(name, quarantine=described(self.blueprint_id).quarantine_only)
            if found.opened().torch_version == version("torch"):
                return found
            library.delete(name)
            return None
        except ArtefactMissing:
            return None
        except ArtefactCorrupt:
            library.delete(name)
            return None

    def _made(self, library: Library, granted: Grant, name: str) -> Sealed:
        quarantine = described(self.blueprint_id).quarantine_only
        order = Order(
            granted=granted,
            name=name,
            seed=self.seed,
            mode="eager" if quarantine else self.mode,
            cache=self.cache,
            quarantine=quarantine,
            provoke=False,
            limits=QUARANTINE if quarantine else WORKSHOP,
        )
        made, facts = forged(order)
        library.put(made)
        for what in ("export_ms", "compile_ms"):
            if what in facts:
                library.note(name, what, float(facts[what]))
        return made


Job = tuple[str, Site, int]
"""A kernel to be made: blueprint, site, and how often that failed."""


class Compiler(Actor):
    """Makes kernels of the catalogue for the sites of a host.

    Wall times go into the library, for people; messages of virtual time carry none (their fields stay 0).
    Determinism: machine (graphs and weights are those of this torch).
    """

    determinism = "machine"
    effects = (CompileBlueprint,)

    library: str = parameter(str, help="path of the library; write it relative: messages carry it")
    cache: str = parameter(str, "", help="folder of machine code; empty for the usual one")
    mode: str = parameter(str, "eager", choices=("eager", "compiled"), help="what the trainer runs")
    blueprints: tuple[str, ...] = parameter(tuple[str, ...], (), help="ids to make; empty for all that fit")
    approved: tuple[str, ...] = parameter(tuple[str, ...], (), help="experimental ids that a person approved")
    quarantined: bool = parameter(bool, False, help="also make the adversarial ones, which nobody can graft")
    sites: tuple[str, ...] = parameter(tuple[str, ...], (), help='sites known at the start, such as "map 16 8 8"')
    seed: int = parameter(int, 0, help="of the first weights", at_least=0)
    jobs: int = parameter(int, 1, help="kernels that are made at once", at_least=1, at_most=8)
    retries: int = parameter(int, 1, help="how often one that failed is tried again", at_least=0, at_most=10)
    pause: int = parameter(int, 2, unit="ticks", help="before the first retry; doubles, at most 60 ticks", at_least=1)
    delay: int = parameter(int, 1, unit="ticks", help="until the outcome is delivered", at_least=1)

    site = Input(Site, "another site to make kernels for")
    ready = Output(KernelCatalogUpdate, "a kernel lies in the library")
    failed = Output(KernelArtifactError, "a blueprint was given up")

    waiting: list[Job] = state(factory=list)
    resting: list[Job] = state(factory=list)
    under_way: dict[int, Job] = state(factory=dict)
    made: int = state(0)
    given_up: int = state(0)
    retried: int = state(0)

    @on_start
    def begin(self, context: Context) -> None:
        """Make kernels for the sites that the scenario names."""
        for text in self.sites:
            self._enqueue(Site.parse(text))
        self._launch(context)

    @on(site)
    def add(self, context: Context, site: Site) -> None:
        """Make kernels for another site."""
        self._enqueue(site)
        self._launch(context)

    @on_timer("retry")
    def retry(self, context: Context) -> None:
        """Try again what failed longest ago."""
        self.waiting.append(self.resting.pop(0))
        self._launch(context)

    @on_outcome("compiled")
    def compiled(self, context: Context, outcome: Outcome) -> None:
        """Tell what became of one kernel, and begin the next."""
        blueprint_id, site, failures = job = self.under_way.pop(outcome.ticket)
        if outcome.status == "value":
            self.made += 1
            context.send("ready", outcome.value)
        elif failures < self.retries:
            self.retried += 1
            self.resting.append((blueprint_id, site, failures + 1))
            context.log("compiling again", blueprint=blueprint_id, error=outcome.error)
            context.wake(min(self.pause * 2**failures, PAUSE_TICKS_MAX), "retry")
        else:
            self._give_up(context, job, outcome.error or "not done by its deadline")
        self._launch(context)

    def figures(self) -> Mapping[str, int | float | str | None]:
        """How many kernels were made, given up, and tried again."""
        open_jobs = len(self.waiting) + len(self.resting) + len(self.under_way)
        return {"made": self.made, "given_up": self.given_up, "retried": self.retried, "open": open_jobs}

    def _enqueue(self, site: Site) -> None:
        known = [job[:2] for job in (*self.waiting, *self.resting, *self.under_way.values())]
        fitting = [entry.blueprint_id for entry in pool(site, approved=self.approved)]
        if self.quarantined:
            fitting += [f"BP{number:03}" for number in range(43, 51)]
        for blueprint_id in self.blueprints or fitting:
            if (blueprint_id, site) not in known:
                self.waiting.append((blueprint_id, site, 0))

    def _launch(self, context: Context) -> None:
        while self.waiting and len(self.under_way) < self.jobs:
            job = self.waiting.pop(0)
            try:
                request = self._request(job)
            except (BlueprintRefused, BlueprintUnknown) as error:  # it is given up by name, and the others go on
                self._give_up(context, job, str(error))
            else:
                self.under_way[int(context.effect(request, delay=self.delay, to="compiled"))] = job

    def _give_up(self, context: Context, job: Job, reason: str) -> None:
        self.given_up += 1
        context.send("failed", KernelArtifactError(blueprint_id=job[0], reason=reason))

    def _request(self, job: Job) -> CompileBlueprint:
        blueprint_id, site, _ = job
        quarantine = self.quarantined and described(blueprint_id).quarantine_only
        granted = grant(blueprint_id, site, approved=self.approved, quarantine=quarantine)
        return CompileBlueprint(
            blueprint_id=blueprint_id,
            parameters=granted.parameters,
            site=site,
            seed=self.seed,
            mode="compiled" if self.mode == "compiled" else "eager",
            library=self.library,
            cache=self.cache,
        )
