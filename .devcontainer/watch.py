"""Hot reload: run a command again whenever a source, scenario or test changes.

.venv/bin/python .devcontainer/watch.py pytest tests/kernel -x
.venv/bin/python .devcontainer/watch.py neuraxis run scenarios/ring.toml
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("kernel", "plugins", "scenarios", "tests")
SUFFIXES = {".py", ".toml", ".in", ".json"}


def changes() -> dict[Path, int]:
    """Return the modification time of every watched file."""
    files = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in SUFFIXES)
    return {path: path.stat().st_mtime_ns for path in files if path.exists()}


def main(command: list[str]) -> int:
    if not command:
        print(__doc__)
        return 2
    environment = {**os.environ, "PATH": f"{ROOT / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    while True:
        seen = changes()
        process = subprocess.Popen(command, cwd=ROOT, env=environment)
        try:
            while changes() == seen:
                time.sleep(0.5)
        except KeyboardInterrupt:
            process.terminate()
            return process.wait()
        process.terminate()
        process.wait()
        print("\n--- changed, running again ---", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
