"""Transports over brokers: the members of a distributed run reach each other over NATS or Redis; and buses.

address     URLs, secrets, TLS
chunks      frames of any size, cut to what a broker takes
nats        JetStream; nats_link is one member's end
redis       Redis Streams; redis_link is one member's end
bus         messages between services: the rules, over bus_memory, bus_nats, bus_redis
"""
