"""The trainer: owns host, slots, optimisers and every tensor.

data           labelled data, pinned by its checksum
health         what a fault is called, and when a loss has run away
rates          the one owner of learning rates
phases         epochs as a state machine
report         what is told about a training
actor          blocks and epochs, orders, and the states that may be gone back to
with_torch/    hosts, the growing network, steps, validation and credit
"""
