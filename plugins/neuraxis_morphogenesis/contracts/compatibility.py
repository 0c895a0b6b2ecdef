"""Tells which changes of the contracts break others: those who hold older bytes, or older code."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet


def breaks(published: FileDescriptorSet, now: FileDescriptorSet) -> list[str]:
    """Return what in `now` breaks `published`, a sentence each.

    A message, field, enumeration or member may be added. None may be removed, renumbered or retyped, and a number
    that was given up must be reserved.
    """
    enums_now = {enum.name: enum for file in now.file for enum in file.enum_type}
    messages_now = dict(_messages(now))
    problems: list[str] = []
    for file in published.file:
        for enum in file.enum_type:
            if enum.name in enums_now:
                problems += _of_enum(enum, enums_now[enum.name])
            else:
                problems.append(f"enum {enum.name} is gone")
    for name, message in _messages(published):
        if name in messages_now:
            problems += _of_message(name, message, messages_now[name])
        else:
            problems.append(f"message {name} is gone")
    return problems


def _messages(files: FileDescriptorSet) -> Iterator[tuple[str, DescriptorProto]]:
    """Yield all messages with their names; the entries of maps are nested messages."""
    for file in files.file:
        for message in file.message_type:
            yield message.name, message
            for nested in message.nested_type:
                yield f"{message.name}.{nested.name}", nested


def _of_enum(old: EnumDescriptorProto, new: EnumDescriptorProto) -> Iterator[str]:
    numbers = {value.name: value.number for value in new.value}
    for value in old.value:
        if value.name not in numbers:
            yield f"{old.name}.{value.name} is gone"
        elif numbers[value.name] != value.number:
            yield f"{old.name}.{value.name} was {value.number} and is {numbers[value.name]}"


def _of_message(name: str, old: DescriptorProto, new: DescriptorProto) -> Iterator[str]:
    fields = {field.name: field for field in new.field}
    for field in old.field:
        if field.name not in fields:
            yield f"{name}.{field.name} is gone"
            continue
        other = fields[field.name]
        if other.number != field.number:
            yield f"{name}.{field.name} was number {field.number} and is {other.number}"
        if _kind(old, field) != _kind(new, other):
            yield f"{name}.{field.name} was {_kind(old, field)} and is {_kind(new, other)}"
    for held in old.reserved_range:
        if not any(each.start <= held.start and held.end <= each.end for each in new.reserved_range):
            yield f"{name} no longer reserves {held.start} to {held.end - 1}"


def _kind(message: DescriptorProto, field: FieldDescriptorProto) -> str:
    """Return everything about a field but its name and number, as a text."""
    kind = FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
    label = FieldDescriptorProto.Label.Name(field.label).removeprefix("LABEL_").lower()
    union = f" of {message.oneof_decl[field.oneof_index].name}" if field.HasField("oneof_index") else ""
    return f"{label} {field.type_name or kind}{union}"
