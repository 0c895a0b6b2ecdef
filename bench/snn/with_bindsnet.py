"""BindsNET, one thread, float32: `with_bindsnet.py FILE` prints seconds for learning from the pictures in FILE.

Its own network of Diehl & Cook with the settings of its example, but the rates and the time of a picture are those
of the publication: a white pixel 63.75 Hz, 350 steps of 1 ms. After a picture all states are reset, as in its example;
ours rests instead. Encoding counts, as it does for ours.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import json
import sys
import time
import types

import numpy as np
import torch

NEURONS, STEPS, WHITE_HZ = 100, 350, 63.75


class Absent(types.ModuleType):
    """Stands for torchvision, which BindsNET imports for data sets that are not used here.

    It has no build for the processor-only PyTorch that this project installs.
    """

    __path__: list[str] = []

    def __getattr__(self, name):
        if name.startswith("__") or (self.__name__ == "torchvision" and name[0].islower()):
            raise AttributeError(name)
        return type(name, (), {})


class AbsentFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, _path, _target=None):
        package = name.split(".", maxsplit=1)[0]
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if package == "torchvision" else None

    def create_module(self, spec):
        return Absent(spec.name)

    def exec_module(self, _module):
        pass


def main(path):
    sys.meta_path.insert(0, AbsentFinder())
    from bindsnet.encoding import poisson
    from bindsnet.models import DiehlAndCook2015
    from bindsnet.network.monitors import Monitor

    torch.set_num_threads(1)
    torch.manual_seed(1)
    pictures = np.load(path)["pictures"]
    network = DiehlAndCook2015(
        n_inpt=pictures.shape[1], n_neurons=NEURONS, exc=22.5, inh=120, dt=1.0, norm=78.4, theta_plus=0.05
    )
    monitor = Monitor(network.layers["Ae"], ["s"], time=STEPS)
    network.add_monitor(monitor, "spikes")
    rates = torch.from_numpy(pictures.astype(np.float32) / 255 * WHITE_HZ)
    network.run(inputs={"X": poisson(rates[0], time=STEPS).view(STEPS, 1, -1)}, time=STEPS)
    network.reset_state_variables()
    spikes, wall, began = 0, time.perf_counter(), time.process_time()
    for each in rates:
        network.run(inputs={"X": poisson(each, time=STEPS).view(STEPS, 1, -1)}, time=STEPS)
        spikes += int(monitor.get("s").sum())
        network.reset_state_variables()
    seconds = time.process_time() - began
    print(json.dumps({"run_s": seconds, "wall_s": time.perf_counter() - wall, "spikes": spikes / len(rates)}))


if __name__ == "__main__":
    main(sys.argv[1])
