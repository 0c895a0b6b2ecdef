"""The loops, compiled by Numba and kept on disk.

The compiled text is that of `formulas` and `loops`; only what stands between their marks is replaced. It lies in the
cache folder under its own digest, so a changed formula or generator can never meet machine code of the text before.
"""

from __future__ import annotations

import importlib.util
import os
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from neuraxis.errors import ExtraMissing
from neuraxis_snn.backends.kept import Kept
from neuraxis_snn.connect import formulas, loops
from neuraxis_snn.noise import PHILOX, words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

BEGIN: Final = "# plain:"
END: Final = "# end of plain\n"

HEAD: Final = """import numba

{words}

formula = numba.njit(error_model="numpy", boundscheck=False)
loop = numba.njit(cache=True, nogil=True, error_model="numpy", boundscheck=False)

{philox}

philox = numba.njit(inline="always", error_model="numpy")(philox)
"""


def is_installed() -> bool:
    """Tell whether Numba can be imported."""
    return importlib.util.find_spec("numba") is not None


def compiles() -> bool:
    """Tell whether it would compile, too: with `NUMBA_DISABLE_JIT=1` arrays are faster by far."""
    return is_installed() and not int(os.environ.get("NUMBA_DISABLE_JIT") or 0)


@lru_cache(maxsize=1)
def functions() -> Mapping[str, Callable[..., Any]]:
    """Return the compiled loops by name; each is compiled, or read from the cache, when it is first called.

    Raises:
        ExtraMissing: Numba is not installed.
    """
    if not is_installed():
        raise ExtraMissing(library="numba", extra="snn", purpose="compiled drawing of synapses")
    constants = "\n".join(f"{name} = np.uint64({value})" for name, value in words(int).items())
    head = HEAD.format(words=constants, philox=PHILOX.strip())
    text = _without_plain(formulas.__file__, head) + _without_plain(loops.__file__, "")
    kept = Kept(text)
    return {name: partial(kept.call, name) for name in loops.run}


def _without_plain(path: str, instead: str) -> str:
    """Return a module's text with something else between its marks."""
    before, begin, after = Path(path).read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = after.partition(END)
    assert begin, "both modules mark what only plain Python needs"
    assert end, "both modules mark what only plain Python needs"
    return before + instead + after
