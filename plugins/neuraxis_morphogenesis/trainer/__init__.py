"""The trainer: owns host, slots, optimisers and every tensor.

data           labelled data, pinned by its checksum
health         what a fault is called, and which states may be gone back to
rates          the one owner of learning rates
actor          epochs as a state machine
with_torch/    hosts, the growing network, steps and validation
"""
