"""The plugin `cognition`: the layers of a brain as actors."""

from __future__ import annotations

from collections.abc import Mapping

from neuraxis import Actor, Manifest, __version__, hookimpl

MANIFEST = Manifest(name="cognition", version=__version__, uses=("snn",))


@hookimpl
def neuraxis_register_actors() -> Mapping[str, type[Actor]]:
    """Offer the layers."""
    from neuraxis_cognition.associative import Associative
    from neuraxis_cognition.executive import Classifier
    from neuraxis_cognition.monitor import Monitor
    from neuraxis_cognition.sensory import Eye

    return {
        "cognition.associative": Associative,
        "cognition.classifier": Classifier,
        "cognition.eye": Eye,
        "cognition.monitor": Monitor,
    }
