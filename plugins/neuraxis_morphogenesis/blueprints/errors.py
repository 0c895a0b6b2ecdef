"""Errors of catalogue, compiler and library: typed, with facts, ending with the remedy."""

from __future__ import annotations

from typing import ClassVar

from neuraxis.errors import DamagedData, InputError, RunError


class BlueprintUnknown(InputError):
    """No blueprint of the catalogue has this id."""

    code: ClassVar[str] = "BLP101"
    blueprint_id: str

    def message(self) -> str:
        return f"there is no blueprint {self.blueprint_id!r}. The catalogue holds BP001 to BP050."


class BlueprintRefused(InputError):
    """A blueprint exists, but this request may not have it: its tier, approval, parameters or site forbid it."""

    code: ClassVar[str] = "BLP102"
    blueprint_id: str
    reason: str
    remedy: str

    def message(self) -> str:
        return f"{self.blueprint_id}: {self.reason}. {self.remedy}"


class SiteInvalid(InputError):
    """A description of where a seed sits cannot be right."""

    code: ClassVar[str] = "BLP103"
    site: str
    reason: str

    def message(self) -> str:
        return f"site {self.site}: {self.reason}. Use features (n,), sequence (steps, channels) or map (c, h, w)."


class CompilerMissing(InputError):
    """Modules are to be compiled where no compiler is."""

    code: ClassVar[str] = "BLP104"
    reason: str

    def message(self) -> str:
        return f'mode = "compiled" cannot work here: {self.reason}. Install a compiler of C++, or use mode = "eager".'


class ArtefactMissing(RunError):
    """The library has no such artefact."""

    code: ClassVar[str] = "BLP301"
    artefact: str

    def message(self) -> str:
        return f"the library holds no artefact {self.artefact}. Compile the blueprint for this site first."


class ArtefactConflict(RunError):
    """Two different contents claim one place in the library. The first one stays."""

    code: ClassVar[str] = "BLP302"
    artefact: str
    held: str
    offered: str

    def message(self) -> str:
        return (
            f"{self.artefact} is in the library with checksum {self.held[:12]}, and {self.offered[:12]} was offered. "
            "The first stays; delete it to replace it."
        )


class ArtefactCorrupt(DamagedData):
    """The bytes of an artefact are not those that were put. It is never handed out."""

    code: ClassVar[str] = "BLP401"
    artefact: str
    reason: str

    def message(self) -> str:
        remedy = "The others are whole; delete it and compile it again."
        return f"artefact {self.artefact} is damaged: {self.reason}. {remedy}"


class LibraryDamaged(DamagedData):
    """The library's file cannot be read as a whole."""

    code: ClassVar[str] = "BLP402"
    path: str
    reason: str

    def message(self) -> str:
        return f"library {self.path}: {self.reason}. Delete the file; the compiler fills a new one."


class ForgeFailed(RunError):
    """A kernel could not be made."""

    code: ClassVar[str] = "BLP303"
    artefact: str
    ending: str
    phase: str
    reason: str

    def message(self) -> str:
        remedy = "Compile it alone to see more, or leave the blueprint out."
        return f"{self.artefact} failed after {self.phase!r} ({self.ending}): {self.reason}. {remedy}"
