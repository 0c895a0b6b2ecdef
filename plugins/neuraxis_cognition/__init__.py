"""A brain's layers as actors: senses, associative memory, executive.

messages      what they send each other
data          labelled images, as a resource of a scenario
sensory       shows images as Poisson spikes
associative   learns them without labels: STDP, lateral inhibition, adaptive thresholds
executive     finds out what the neurons stand for, and reads out answers
monitor       draws what happened into the report
"""

from neuraxis_cognition.messages import Accuracy, Fields, Response, Shown

__all__ = ["Accuracy", "Fields", "Response", "Shown"]
