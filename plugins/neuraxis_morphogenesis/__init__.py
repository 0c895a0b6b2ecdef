"""Morphogenesis: networks that grow while they train.

contracts/   messages and enumerations, and their wire form
"""
