"""What grows in a network: modules that come, are treated by their stage, and go; and the teacher beside them.

Determinism: machine.
"""

from __future__ import annotations

from typing import Any, final

import torch
from msgspec import Struct
from torch import nn

from neuraxis_morphogenesis.blueprints.catalogue import grant
from neuraxis_morphogenesis.blueprints.errors import ArtefactCorrupt, BlueprintRefused, BlueprintUnknown
from neuraxis_morphogenesis.blueprints.forging import Mode
from neuraxis_morphogenesis.blueprints.kernels import Kernel
from neuraxis_morphogenesis.blueprints.with_torch import build
from neuraxis_morphogenesis.blueprints.with_torch.load import instance, machine_code
from neuraxis_morphogenesis.contracts import SeedLifecycleStage as Stage
from neuraxis_morphogenesis.seeds.schedule import WHOLE
from neuraxis_morphogenesis.seeds.with_torch.blend import Isolation
from neuraxis_morphogenesis.seeds.with_torch.registry import TEACHER, Registry
from neuraxis_morphogenesis.seeds.with_torch.slot import Slot
from neuraxis_morphogenesis.trainer.with_torch.hosts import Design
from neuraxis_morphogenesis.trainer.with_torch.measure import Tally
from neuraxis_morphogenesis.trainer.with_torch.network import Network
from neuraxis_morphogenesis.trainer.with_torch.optimiser import Optimisers
from neuraxis_morphogenesis.trainer.with_torch.teacher import Teacher


@final
class Config(Struct, frozen=True, kw_only=True):
    """How to train.

    Attributes:
        design: The host.
        optimiser, rate, momentum, decay: Of the optimiser; `rate` is the host's first learning rate.
        seed_rate_share, seed_warmup_epochs: A seed's learning rate, as a share of the host's, and until it is warm.
        gradient_max: Norm of a gradient above which it explodes.
        isolation, schedule: Of all slots.
        aggregation: `sum`, or `pcgrad` for a loss of each live seed on the host.
        distil: Weight of what the network knew before a graft; 0 for off.
        distil_every: Steps from one with the teacher to the next, in which it weighs as much more.
        mode, cache: Whether modules of seeds are run as they are, or compiled; and where machine code is kept.
    """

    design: Design
    optimiser: str = "sgd"
    rate: float = 0.05
    momentum: float = 0.9
    decay: float = 0.0
    seed_rate_share: float = 0.1
    seed_warmup_epochs: float = 10
    gradient_max: float = 100.0
    isolation: Isolation = "strict"
    schedule: str = "sigmoid"
    aggregation: str = "sum"
    distil: float = 0.0
    distil_every: int = 2
    mode: Mode = "eager"
    cache: str = ""


class Growth:
    """A network, and what comes and goes in its slots.

    Attributes:
        config: How to train.
        network: Host and slots.
        registry: Who owns which parameter.
        optimisers: One for each owner.
        tallies, ages: What was measured about each slot, and epochs for which its seed has learned.
        teacher: The network as it was before a graft, or None.
    """

    config: Config
    network: Network
    registry: Registry
    optimisers: Optimisers
    tallies: dict[str, Tally]
    ages: dict[str, float]
    teacher: Teacher | None
    _seed_macs: dict[str, int]

    def attach(
        self,
        name: str,
        blueprint_id: str,
        parameters: dict[str, float],
        blend: str,
        *,
        seed: int = 0,
        kernel: Kernel | None = None,
    ) -> None:
        """Put a fresh module into a slot, in GERMINATED: it changes nothing yet.

        Args:
            name: Of the slot.
            blueprint_id, parameters: What it is.
            blend: How its output is mixed in.
            seed: Of its first weights, if it is built here.
            kernel: What it is made of, if it was fetched.

        Raises:
            BlueprintUnknown, BlueprintRefused: The catalogue does not grant it.
            ArtefactCorrupt: The kernel's tensors do not fit the blueprint.
        """
        slot = self.network.slot(name)
        granted = grant(blueprint_id, slot.site, parameters, approved=(blueprint_id,))
        module = build(granted, seed=seed) if kernel is None else instance(kernel)
        slot.grant = {"blueprint": blueprint_id, "parameters": dict(granted.parameters)}
        self.put(slot, module)
        slot.blend, slot.stage, slot.blend_step, slot.is_paused = blend, Stage.GERMINATED, 0, False
        self.ages[name] = 0.0
        self.tallies[name] = Tally()

    def try_attach(self, name: str, blueprint_id: str, parameters: dict[str, float], blend: str, **made_of: Any) -> str:
        """Attach a module as `attach` does. Returns why it cannot be, or nothing; then the slot stays empty."""
        try:
            self.attach(name, blueprint_id, parameters, blend, **made_of)
        except (BlueprintUnknown, BlueprintRefused) as error:
            return error.message()
        except ArtefactCorrupt as error:
            return f"kernel_corrupt: {error.message()}"
        return ""

    def is_finite(self) -> bool:
        """Whether every weight of host and seeds is a number."""
        owned = [each.detach().flatten() for parameters in self.network.owners().values() for each in parameters]
        return bool(torch.isfinite(torch.cat(owned)).all())

    def parameters(self) -> int:
        """Return how many numbers host and seeds hold."""
        return sum(each.numel() for owned in self.network.owners().values() for each in owned)

    def put(self, slot: Slot, module: nn.Module) -> None:
        """Fill a slot with a module, and give it an optimiser."""
        slot.module = module
        slot.code = None if self.config.mode == "eager" else machine_code(module, self.config.cache, dynamic=True)
        breach = self.optimisers.add(slot.name, list(module.parameters()))
        if breach is not None:
            self.tallies[slot.name].violations.append(breach)
        self._seed_macs.pop(slot.name, None)

    def enter(
        self,
        name: str,
        stage: Stage,
        *,
        blend_steps: int = 1,
        schedule: str = "",
        window: tuple[float, float] = WHOLE,
    ) -> None:
        """Treat a slot's module by another stage from now on.

        Args:
            name: Of the slot.
            stage: The stage.
            blend_steps: In how many steps alpha rises.
            schedule: How; empty for as configured.
            window: From which share of the steps to which.
        """
        slot = self.network.slot(name)
        if stage is Stage.BLENDING:
            slot.schedule = schedule or self.config.schedule
            slot.blend_begin, slot.blend_end = window
        slot.stage, slot.blend_step, slot.blend_steps = stage, 0, max(1, blend_steps)
        self.tallies[name] = Tally()
        if stage in (Stage.FOSSILIZED, Stage.TERMINATED):
            self.freeze(slot)
        if stage is Stage.BLENDING and self.config.distil > 0:
            self._teach()

    def freeze(self, slot: Slot) -> None:
        """Make a module part of the host that learns no more."""
        for each in parameters_of(slot):
            each.requires_grad_(False)
            each.grad = None
        self.optimisers.remove(slot.name)

    def fade(self, name: str, steps: int) -> None:
        """Ramp a culled seed down in so many steps; it learns no more. `clear` empties the slot afterwards."""
        slot = self.network.slot(name)
        slot.fade(steps)
        self.tallies[name] = Tally()
        self.freeze(slot)

    def clear(self) -> None:
        """Empty the slots whose seeds were ramped down to nothing."""
        for slot in self.network.slots:
            if slot.is_faded:
                self.detach(slot.name)

    def detach(self, name: str) -> None:
        """Empty a slot: its module, its optimiser and its parameters' registration are gone."""
        slot = self.network.slot(name)
        self.optimisers.remove(name)
        slot.module, slot.grant, slot.stage, slot.is_paused, slot.margins = None, None, Stage.DORMANT, False, None
        slot.code = None
        self.tallies[name], self.ages[name] = Tally(), 0.0
        self._seed_macs.pop(name, None)

    def is_clean(self, name: str) -> bool:
        """Whether nothing is left in a slot."""
        return self.network.slot(name).module is None and not self.optimisers.holds(name)

    # ----------------------------------------------------------------------------- teacher

    def _teach(self) -> None:
        """Keep the network as it is now as a teacher."""
        self.adopt(Teacher(self.network))

    def adopt(self, teacher: Teacher) -> None:
        """Take a teacher; the one before it is dropped."""
        self.forget_teacher()
        self.teacher = teacher
        self.registry.register(TEACHER, teacher.parameters())

    def forget_teacher(self) -> None:
        """Drop the teacher."""
        self.teacher = None
        self.registry.forget(TEACHER)


def parameters_of(slot: Slot) -> list[nn.Parameter]:
    """Return the parameters of a slot's module; none of an empty slot."""
    return [] if slot.module is None else list(slot.module.parameters())
