"""The JSON Schema (draft 2020-12) of scenario files, by which editors complete and check them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from neuraxis import units
from neuraxis.parameter import REQUIRED, TICKS, Parameter, Resource
from neuraxis.scenario import format as form

if TYPE_CHECKING:
    from collections.abc import Mapping

    from neuraxis.actor import Actor

Schema = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_SCALARS: Final[Mapping[Any, str]] = {bool: "boolean", int: "integer", float: "number", str: "string"}


def schema(actors: Mapping[str, type[Actor]]) -> Schema:
    """Return the schema of scenario files.

    Args:
        actors: Class by kind: an actor's parameters are checked by its kind; other kinds are let through,
            because plugins that the schema does not know may offer them.
    """
    expectation = {
        "oneOf": [
            {"type": ["boolean", "number", "string"]},
            {"type": "object", "minProperties": 1, "additionalProperties": True},
        ]
    }
    figures = {"type": "object", "additionalProperties": expectation}
    return {
        "$schema": DIALECT,
        "title": "Neuraxis scenario",
        "description": "Actors, channels and inputs of a simulation. docs/reference/scenario.md explains every key.",
        "type": "object",
        "required": ["neuraxis"],
        "additionalProperties": False,
        "properties": {
            **_properties(form.ROOT),
            "neuraxis": {"const": form.FORMAT_VERSION, "description": form.ROOT["neuraxis"].help},
            "scenario": _table(form.SCENARIO),
            "run": _table(form.RUN),
            "resources": {"type": "object", "additionalProperties": _table(form.RESOURCE)},
            "actors": {"type": "object", "additionalProperties": _actor(actors)},
            "channels": {"type": "array", "items": _table(form.CHANNEL)},
            "inputs": {"type": "array", "items": _table({**form.INPUT, "value": _ANY})},
            "expect": {**figures, "description": "what figures come to at the end of the run"},
            "always": {**figures, "description": "what figures are at every check during a run, and in explore"},
        },
    }


_ANY: Final = None


def _table(keys: Mapping[str, Parameter | None]) -> Schema:
    required = [name for name, each in keys.items() if each is not None and each.is_required and name in _NEEDED]
    return {
        "type": "object",
        "properties": _properties(keys),
        "additionalProperties": False,
        **({"required": required} if required else {}),
    }


_NEEDED: Final = ("from", "to", "path")


def _properties(keys: Mapping[str, Parameter | None]) -> dict[str, Schema]:
    return {name: _value(each) if each is not None else {} for name, each in keys.items()}


def _actor(actors: Mapping[str, type[Actor]]) -> Schema:
    """Return the schema of an actor's table: its keys depend on its kind, which an included file may bring."""
    choices = []
    for kind, cls in sorted(actors.items()):
        parameters = cls.declaration.parameters
        required = [name for name, each in parameters.items() if each.is_required and not each.is_seam]
        keys = {**form.ACTOR, **parameters}
        summary = (cls.__doc__ or "").strip().partition("\n")[0]
        then: Schema = {
            "description": summary,
            "properties": {**_properties(keys), "kind": {"const": kind}},
            "additionalProperties": False,
            **({"required": required} if required else {}),
        }
        choices.append({"if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]}, "then": then})
    kinds = {"anyOf": [{"enum": sorted(actors)}, {"type": "string"}], "description": form.ACTOR["kind"].help}
    return {
        "type": "object",
        "properties": {**_properties(form.ACTOR), "kind": kinds},
        "allOf": choices,
    }


def _value(declared: Parameter) -> Schema:
    one = _one(declared)
    made: Schema = {"type": "array", "items": one} if declared.is_list else one
    if declared.help:
        made["description"] = declared.help
    is_told = declared.default is not REQUIRED and declared.default not in ("", ()) and not declared.is_seam
    if is_told and not isinstance(declared.default, Resource):
        made["default"] = list(declared.default) if isinstance(declared.default, tuple) else declared.default
    return made


def _one(declared: Parameter) -> Schema:
    if declared.choices:
        return {"enum": list(declared.choices)}
    if declared.kind is Resource or declared.is_seam:
        return {"type": "string"}
    if declared.unit is None:
        made: Schema = {"type": _SCALARS[declared.element]}
        if declared.at_least is not None:
            made["minimum"] = declared.at_least
        if declared.at_most is not None:
            made["maximum"] = declared.at_most
        return made
    text = {"type": "string", "pattern": _quantity(declared.unit)}
    return {"anyOf": [{"type": "integer"}, text]} if declared.unit == TICKS else text


def _quantity(unit: str) -> str:
    """Return a pattern for a number with a unit of the same dimension."""
    dimension = units.dimension_of("s" if unit == TICKS else unit)
    symbols = sorted((name for name in units.UNITS if units.dimension_of(name) == dimension), key=len, reverse=True)
    return r"^\s*[+-]?[0-9._]+([eE][+-]?[0-9]+)?\s*(" + "|".join(symbols) + r")\s*$"
