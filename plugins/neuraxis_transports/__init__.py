"""Transports over brokers: the members of a distributed run reach each other over NATS or Redis.

address     URLs, secrets, TLS
chunks      frames of any size, cut to what a broker takes
nats        JetStream
redis       Redis Streams
"""
