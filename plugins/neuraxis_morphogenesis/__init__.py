"""Morphogenesis: networks that grow while they train.

contracts/   messages and enumerations, and their wire form
authority    who may command
blueprints/  what can grow: catalogue, compiler, library
credit       what each seed contributes
messages     what trainer and seeds tell each other
seeds/       the life of seeds, and the slot runtime
trainer/     host, slots, optimisers, every tensor
policy/      who decides
"""
