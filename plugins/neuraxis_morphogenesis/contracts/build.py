"""Makes everything that follows from the `.proto` files: `python -m neuraxis_morphogenesis.contracts.build`.

It writes the bindings (`*_pb2.py`), the enumerations in Python (`enums.py`) and the record of what was published
(`published.binpb`). It refuses a change that would break those who hold older bytes or older code: a field or member
that was removed, renumbered or retyped. `--check` writes nothing, and fails while something is out of date.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from google.protobuf.descriptor_pb2 import EnumDescriptorProto, FileDescriptorProto, FileDescriptorSet

from neuraxis.errors import ExtraMissing, UsageInvalid
from neuraxis_morphogenesis.contracts.compatibility import breaks

FOLDER: Final = Path(__file__).parent
PACKAGE: Final = "neuraxis_morphogenesis/contracts"
PUBLISHED: Final = FOLDER / "published.binpb"
ENUMS: Final = "enums.py"
COMMENTS: Final = 5
"""Field of a file descriptor that holds its enumerations: the first part of the path of a comment."""


def made(folder: Path) -> dict[str, bytes]:
    """Return what follows from the `.proto` files of a folder: content by name of file.

    Raises:
        ExtraMissing: grpcio-tools, which brings the compiler, is not installed.
        UsageInvalid: The compiler refuses a file; it has printed why.
    """
    if find_spec("grpc_tools") is None:
        raise ExtraMissing(library="grpcio-tools", extra="dev", purpose="compiling contracts")
    protoc = import_module("grpc_tools.protoc")
    names = sorted(path.name for path in folder.glob("*.proto"))
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        source, target = place / "source" / PACKAGE, place / "target"
        source.mkdir(parents=True)
        target.mkdir()
        for name in names:
            (source / name).write_bytes((folder / name).read_bytes())
        words = [f"--proto_path={place / 'source'}", f"--python_out={target}"]
        words += ["--include_source_info", f"--descriptor_set_out={target / 'all.binpb'}"]
        if protoc.main(["protoc", *words, *(f"{PACKAGE}/{name}" for name in names)]):
            raise UsageInvalid(what="a .proto file does not compile", remedy="Correct what the lines above name.")
        results = {path.name: path.read_bytes() for path in sorted((target / PACKAGE).iterdir())}
        files = FileDescriptorSet.FromString((target / "all.binpb").read_bytes())
    results[ENUMS] = _enumerations(files).encode()
    for file in files.file:
        file.ClearField("source_code_info")
    results[PUBLISHED.name] = files.SerializeToString(deterministic=True)
    return results


def _enumerations(files: FileDescriptorSet) -> str:
    blocks = [
        _enumeration(enum, _comment(file, position))
        for file in files.file
        for position, enum in enumerate(file.enum_type)
    ]
    names = "".join(f'    "{enum.name}",\n' for enum in sorted((e for f in files.file for e in f.enum_type), key=_name))
    head = '"""Enumerations of the contracts. Made of `enums.proto` by `contracts.build`; do not change it by hand."""'
    imports = "from __future__ import annotations\n\nfrom enum import IntEnum, unique\nfrom typing import final"
    return f"{head}\n\n{imports}\n\n__all__ = [\n{names}]\n" + "".join(f"\n\n{block}\n" for block in blocks)


def _name(enum: EnumDescriptorProto) -> str:
    return str(enum.name)


def _enumeration(enum: EnumDescriptorProto, comment: str) -> str:
    prefix = enum.value[0].name.rsplit("_", 1)[0] + "_"
    members = [f"    {value.name.removeprefix(prefix)} = {value.number}" for value in enum.value]
    return "\n".join(["@final", "@unique", f"class {enum.name}(IntEnum):", f'    """{comment}"""', "", *members])


def _comment(file: FileDescriptorProto, position: int) -> str:
    found = [
        each.leading_comments for each in file.source_code_info.location if list(each.path) == [COMMENTS, position]
    ]
    return str(found[0]).strip()


def out_of_date(results: Mapping[str, bytes], folder: Path) -> list[str]:
    """Return the files of a folder that are not what would be made now."""
    return [
        name
        for name, content in sorted(results.items())
        if not (folder / name).is_file() or (folder / name).read_bytes() != content
    ]


def main(words: list[str]) -> int:
    """Make or check everything. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="neuraxis_morphogenesis.contracts.build", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail while something is out of date")
    checks = parser.parse_args(words).check
    results = made(FOLDER)
    now = FileDescriptorSet.FromString(results[PUBLISHED.name])
    published = FileDescriptorSet.FromString(PUBLISHED.read_bytes()) if PUBLISHED.is_file() else now
    broken = breaks(published, now)
    stale = [f"{name} is out of date; run this without --check" for name in out_of_date(results, FOLDER) if checks]
    sys.stderr.writelines(f"{line}\n" for line in [*broken, *stale])
    if broken or stale:
        return 1
    if not checks:
        for name, content in results.items():
            (FOLDER / name).write_bytes(content)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
