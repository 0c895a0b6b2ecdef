"""Training on tensors. Call `numerics.ensure` before anything here is imported.

numerics     the profile that pins the bits
hosts        small networks with places for seeds
network      a host with its slots
pcgrad       gradients that do not work against each other
optimiser    steps that are checked
training     blocks of steps, validation, credit, and the whole state
"""
