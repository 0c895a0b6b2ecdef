"""A child that does no work, and tells what it sees of the environment: one fact for each name."""

from __future__ import annotations

import os
import sys

import msgspec

from neuraxis_morphogenesis.blueprints.forging import Frame

if __name__ == "__main__":
    sys.stdin.buffer.read()
    data = msgspec.msgpack.encode(Frame(phase="done", facts=dict.fromkeys(os.environ, 1.0)))
    sys.stdout.buffer.write(len(data).to_bytes(4, "big") + data)
