"""Spiking networks beside other simulators, on the same graphs: `make bench-snn`."""
