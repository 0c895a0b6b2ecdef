"""The plugin `morphogenesis`: networks that grow while they train."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from neuraxis import Actor, Manifest, __version__, hookimpl

if TYPE_CHECKING:
    from neuraxis.hooks import Inspection

MANIFEST = Manifest(name="morphogenesis", version=__version__)


@hookimpl
def neuraxis_register_actors() -> Mapping[str, type[Actor]]:
    """Offer trainer, seeds, policies, and what makes and keeps kernels."""
    from neuraxis_morphogenesis.blueprints.compiler import Compiler
    from neuraxis_morphogenesis.blueprints.librarian import Librarian
    from neuraxis_morphogenesis.policy.graph_policy import GraphPolicy
    from neuraxis_morphogenesis.policy.heuristics import Plateau, Random
    from neuraxis_morphogenesis.seeds.actor import Seeds
    from neuraxis_morphogenesis.trainer.actor import Trainer

    return {
        "morphogenesis.compiler": Compiler,
        "morphogenesis.graph_policy": GraphPolicy,
        "morphogenesis.librarian": Librarian,
        "morphogenesis.plateau": Plateau,
        "morphogenesis.random": Random,
        "morphogenesis.seeds": Seeds,
        "morphogenesis.trainer": Trainer,
    }


@hookimpl
def neuraxis_register_messages() -> Iterable[type[Any]]:
    """Offer what only states hold."""
    from neuraxis_morphogenesis.seeds.breaker import Breaker

    return (Breaker,)


@hookimpl
def neuraxis_register_inspections() -> Mapping[str, Inspection]:
    """Offer to look at networks that grew in a recorded run."""
    from neuraxis_morphogenesis.inspection import GROWTH

    return {"growth": GROWTH}
