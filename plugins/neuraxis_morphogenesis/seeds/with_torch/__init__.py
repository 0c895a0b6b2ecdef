"""The slot runtime: what runs in the trainer, on tensors.

blend        how a seed's output is mixed with the host's
slot         a place in the host, and what is in it
registry     which parameters belong to whom
isolation    the monitor that finds leaks
distill      what the network knew before a graft, as a teacher
"""
