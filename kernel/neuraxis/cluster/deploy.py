"""From a scenario to the objects of Kubernetes that run it on workers.

    ConfigMap      NAME-scenario     the scenario's files, where they are few, small and text
    Service        NAME-workers      headless: the name that a StatefulSet wants; nothing listens there
    StatefulSet    NAME-workers      one pod for each worker: `neuraxis worker /runs/NAME --wait …`
    Job            NAME-conductor    `neuraxis run … --launcher join --resume`

All pods share a volume at /runs. Secrets stay in a Secret: pods take them as environment variables, and no manifest
holds them. The same arguments give the same bytes.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final
from urllib.parse import urlsplit

from msgspec import Struct

from neuraxis.cluster.epoch import NO_SHARDS, maker_of
from neuraxis.cluster.plan import cut
from neuraxis.errors import UsageInvalid
from neuraxis.files import read_bytes
from neuraxis.launch import open_scenario

if TYPE_CHECKING:
    from collections.abc import Iterator

    from neuraxis.launch import Opened

RUNS: Final = "/runs"
"""Where pods have the volume that they share."""

FILES: Final = "/scenario"
"""Where pods have the files of a scenario that come from a ConfigMap."""

FILES_MAX: Final = 50
FILES_BYTES_MAX: Final = 512 << 10
"""Largest sum of files in a ConfigMap; Kubernetes takes 1 MiB with everything around them."""

NAME_CHARACTERS_MAX: Final = 40
"""Leaves room for what Kubernetes hangs onto a name, within the 63 characters of a label."""

WAIT_S: Final = 3_600
"""Seconds for which a worker waits for its run; then its pod starts it again."""

USER: Final = 1_000
_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_IMAGE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]*")
_CPU: Final = re.compile(r"0*[1-9]\d*m?|\d+\.\d{1,3}")
_MEMORY: Final = re.compile(r"0*[1-9]\d*(\.\d+)?([KMGTPE]i|[kMGTPE])?")


@final
class Wanted(Struct, frozen=True, kw_only=True):
    """What a person asks for.

    Attributes:
        workers: How many pods compute.
        image: Of all containers; it has Neuraxis, the scenario's plugins and the client of the transport.
        transport: URL of the broker, without secrets.
        claim: PersistentVolumeClaim that many pods may write (ReadWriteMany).
        namespace: Of all objects; None leaves it to whoever applies them.
        name: Of the run; None makes one of the scenario's.
        cpu, memory: Of each container, as Kubernetes writes them; requested, and the limit.
        secret: Secret with the keys `password` or `token` of the transport.
    """

    workers: int
    image: str
    transport: str
    claim: str
    namespace: str | None = None
    name: str | None = None
    cpu: str = "1"
    memory: str = "2Gi"
    secret: str | None = None


@final
class Deployment(Struct, frozen=True):
    """What is to be applied.

    Attributes:
        name: Of the run: its folder is /runs/NAME.
        documents: The objects, in the order in which they are made.
        files: The files of the scenario, relative to the folder above all of them.
        place: Where pods look for these files.
        notes: What a person has to do beside, as sentences.
    """

    name: str
    documents: tuple[dict[str, Any], ...]
    files: tuple[str, ...]
    place: str
    notes: tuple[str, ...]

    def manifest(self) -> str:
        """Return all as YAML, with the notes as comments."""
        head = "".join(f"# {note}\n" for note in self.notes)
        return head + "".join("---\n" + to_yaml(each) for each in self.documents)


def deploy(scenario: Path, wanted: Wanted) -> Deployment:
    """Return what runs a scenario on Kubernetes.

    Args:
        scenario: The scenario file; it is opened, and none of its actors is made.
        wanted: How.

    Raises:
        UsageInvalid: A name, a quantity or the transport cannot be used, or so many workers.
        ScenarioInvalid, PluginUnusable, FileUnusable: The scenario cannot run.
    """
    _check(wanted)
    opened = open_scenario(scenario, shards=NO_SHARDS)
    cut(opened.resolved.wiring, wanted.workers)  # refuses more workers than there can be
    name = wanted.name or _name_of(opened.scenario.name)
    _check_name(name)
    root, paths = _files(opened)
    texts = _texts(root, paths)
    place = FILES if texts is not None else f"{RUNS}/scenarios/{name}"
    objects = _Objects(wanted, name, paths, texts is not None)
    target = f"{place}/{_relative(root, scenario)}"
    documents = [] if texts is None else [objects.config_map(texts)]
    documents += [objects.service(), objects.workers(), objects.conductor(target)]
    return Deployment(name, tuple(documents), paths, place, _notes(wanted, name, place, paths, texts is not None))


# ------------------------------------------------------------------------------------ checks


def _check(wanted: Wanted) -> None:
    if wanted.workers < 1:
        raise UsageInvalid(what=f"{wanted.workers} workers cannot run anything", remedy="Write --workers 1, 2, …")
    _require(_IMAGE, wanted.image, "--image", "the image", "REGISTRY/NAME:TAG")
    _require(_SUBDOMAIN, wanted.claim, "--claim", "a claim", "small letters, digits, - and .")
    if wanted.namespace is not None:
        _require(_LABEL, wanted.namespace, "--namespace", "a namespace", "small letters, digits and -")
    if wanted.secret is not None:
        _require(_SUBDOMAIN, wanted.secret, "--secret", "a Secret", "its name: small letters, digits, - and .")
    _require(_CPU, wanted.cpu, "--cpu", "cores", "2, 0.5 or 500m")
    _require(_MEMORY, wanted.memory, "--memory", "an amount of memory", "512Mi or 2Gi")
    _check_transport(wanted)


def _require(form: re.Pattern[str], value: str, option: str, what: str, right: str) -> None:
    if not form.fullmatch(value) or len(value) > 253:
        raise UsageInvalid(what=f"{option} {value!r} is not {what}", remedy=f"Write {right}.")


def _check_name(name: str) -> None:
    if not _LABEL.fullmatch(name) or not name[0].isalpha() or len(name) > NAME_CHARACTERS_MAX:
        raise UsageInvalid(
            what=f"--name {name!r} is no name for objects of Kubernetes",
            remedy=f"Write small letters, digits and -, a letter first, at most {NAME_CHARACTERS_MAX} characters.",
        )


def _check_transport(wanted: Wanted) -> None:
    """Refuse a way that does not lead from pod to pod, and one that would tell a secret."""
    scheme = wanted.transport.partition(":")[0]
    form = "Write --transport redis://HOST:PORT or nats://HOST:PORT."
    if scheme == "local":
        raise UsageInvalid(what="local: joins processes of one host, and pods are none", remedy=form)
    try:
        parts = urlsplit(wanted.transport)
        host, user, password = parts.hostname, parts.username, parts.password
    except ValueError as error:
        # the error of the library may show what stands in the URL, a password among it
        raise UsageInvalid(what="the URL of the transport cannot be read", remedy=form) from error.with_traceback(None)
    if not host:
        raise UsageInvalid(what="the URL of the transport names no host", remedy=form)
    if password is not None or (user is not None and wanted.secret is None):  # a lone user may be a token
        raise UsageInvalid(
            what="the URL of the transport holds a secret, or a user whose password nothing gives",
            remedy="kubectl create secret generic NAME --from-file=password=FILE; then leave the secret out of the "
            "URL, and write --secret NAME.",
        )
    maker_of(scheme)


def _name_of(scenario: str) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", scenario.lower()).strip("-")
    return (name if name[:1].isalpha() else f"run-{name}")[:NAME_CHARACTERS_MAX].strip("-")


# ------------------------------------------------------------------------------------- files


def _files(opened: Opened) -> tuple[Path, tuple[str, ...]]:
    """Return the folder above all files of a scenario, and their paths below it."""
    scenario = opened.scenario
    sources = scenario.sources
    assert sources is not None, "a scenario that was read from files has them"
    found = [Path(os.path.abspath(each)) for each in sources.files]
    named = [each for each in scenario.plugins if each.endswith(".py")]
    named += [each["path"] for each in scenario.resources.values()]
    found += [Path(os.path.abspath(scenario.folder / each)) for each in named]
    root = Path(os.path.commonpath([each.parent for each in found]))
    return root, tuple(sorted({_relative(root, each) for each in found}))


def _relative(root: Path, path: Path) -> str:
    return Path(os.path.abspath(path)).relative_to(root).as_posix()


def _texts(root: Path, paths: tuple[str, ...]) -> dict[str, str] | None:
    """Return the text of every file; None where a ConfigMap cannot take them."""
    if len(paths) > FILES_MAX or sum((root / each).stat().st_size for each in paths) > FILES_BYTES_MAX:
        return None
    try:
        return {each: read_bytes(root / each, remedy="Make it readable.").decode("utf-8") for each in paths}
    except UnicodeDecodeError:
        return None


def _key(number: int, path: str) -> str:
    """Return the key of a file in a ConfigMap, where no key has a slash."""
    return f"{number:02d}-" + re.sub(r"[^A-Za-z0-9._-]", "-", Path(path).name)[-100:]


def _notes(wanted: Wanted, name: str, place: str, paths: tuple[str, ...], in_map: bool) -> tuple[str, ...]:
    told = f" of namespace {wanted.namespace}" if wanted.namespace else ""
    notes = [f"The claim {wanted.claim}{told} must allow ReadWriteMany; the run lies in {RUNS}/{name} on it."]
    if not in_map:
        where = place.removeprefix(f"{RUNS}/")
        notes.append(f"The scenario's files are no small texts: copy them to the folder {where} on the claim first:")
        notes += [f"  {each}" for each in paths]
    if wanted.secret is not None:
        notes.append(f"The Secret {wanted.secret}{told} must hold the key password or token.")
    notes.append(f"When the Job {name}-conductor is complete, delete the StatefulSet {name}-workers.")
    return tuple(notes)


# ----------------------------------------------------------------------------------- objects


@final
class _Objects:
    """Makes the objects of one run."""

    def __init__(self, wanted: Wanted, name: str, paths: tuple[str, ...], in_map: bool) -> None:
        self._wanted = wanted
        self._name = name
        self._paths = paths
        self._in_map = in_map

    def config_map(self, texts: dict[str, str]) -> dict[str, Any]:
        data = {_key(number, path): texts[path] for number, path in enumerate(self._paths)}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": self._metadata("scenario"), "data": data}

    def service(self) -> dict[str, Any]:
        spec = {"clusterIP": "None", "selector": self._labels("workers")}
        return {"apiVersion": "v1", "kind": "Service", "metadata": self._metadata("workers"), "spec": spec}

    def workers(self) -> dict[str, Any]:
        command = ["neuraxis", "worker", f"{RUNS}/{self._name}", "--wait", str(WAIT_S)]
        spec = {
            "serviceName": f"{self._name}-workers",
            "replicas": self._wanted.workers,
            "podManagementPolicy": "Parallel",  # a run begins when all are there
            "selector": {"matchLabels": self._labels("workers")},
            "template": self._pod("workers", command, restart="Always", grace_s=30),
        }
        return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": self._metadata("workers"), "spec": spec}

    def conductor(self, scenario: str) -> dict[str, Any]:
        wanted = self._wanted
        command = ["neuraxis", "run", scenario, "--folder", f"{RUNS}/{self._name}", "--resume"]
        command += ["--workers", str(wanted.workers), "--launcher", "join", "--transport", wanted.transport]
        spec = {
            "backoffLimit": 6,
            "podFailurePolicy": {
                "rules": [
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                    {  # damaged data: another try comes to the same
                        "action": "FailJob",
                        "onExitCodes": {"containerName": "conductor", "operator": "In", "values": [4]},
                    },
                ]
            },
            "template": self._pod("conductor", command, restart="Never", grace_s=300),  # it merges before it goes
        }
        return {"apiVersion": "batch/v1", "kind": "Job", "metadata": self._metadata("conductor"), "spec": spec}

    def _labels(self, part: str) -> dict[str, str]:
        return {
            "app.kubernetes.io/name": "neuraxis",
            "app.kubernetes.io/instance": self._name,
            "app.kubernetes.io/component": part,
        }

    def _metadata(self, part: str) -> dict[str, Any]:
        space = {"namespace": self._wanted.namespace} if self._wanted.namespace else {}
        return {"name": f"{self._name}-{part}", **space, "labels": self._labels(part)}

    def _pod(self, part: str, command: list[str], *, restart: str, grace_s: int) -> dict[str, Any]:
        wanted = self._wanted
        amount = {"cpu": wanted.cpu, "memory": wanted.memory}
        container = {
            "name": part,
            "image": wanted.image,
            "command": command,
            "workingDir": "/tmp",
            "env": self._environment(),
            "resources": {"requests": amount, "limits": dict(amount)},
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            },
            "volumeMounts": [*self._mounts()],
        }
        volumes: list[dict[str, Any]] = [
            {"name": "runs", "persistentVolumeClaim": {"claimName": wanted.claim}},
            {"name": "temporary", "emptyDir": {}},
        ]
        if self._in_map:
            volumes.append({"name": "scenario", "configMap": {"name": f"{self._name}-scenario"}})
        spec = {
            "restartPolicy": restart,
            "terminationGracePeriodSeconds": grace_s,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "runAsGroup": USER,
                "fsGroup": USER,
                "fsGroupChangePolicy": "OnRootMismatch",
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
            "volumes": volumes,
        }
        return {"metadata": {"labels": self._labels(part)}, "spec": spec}

    def _environment(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = [
            # a worker finds its number at the end of it
            {"name": "HOSTNAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "HOME", "value": "/tmp"},
            {"name": "NEURAXIS_CACHE", "value": "/tmp/neuraxis"},
        ]
        secret = self._wanted.secret
        if secret is not None:
            for key in ("password", "token"):
                chosen = {"name": secret, "key": key, "optional": True}
                found.append(
                    {"name": f"NEURAXIS_TRANSPORT_{key.upper()}", "valueFrom": {"secretKeyRef": chosen}},
                )
        return found

    def _mounts(self) -> Iterator[dict[str, Any]]:
        yield {"name": "runs", "mountPath": RUNS}
        yield {"name": "temporary", "mountPath": "/tmp"}
        if self._in_map:
            # each file by itself: a folder from a ConfigMap is a link to another folder in every pod, and the run
            # notes where its files lie
            for number, path in enumerate(self._paths):
                key = _key(number, path)
                yield {"name": "scenario", "mountPath": f"{FILES}/{path}", "subPath": key, "readOnly": True}


# -------------------------------------------------------------------------------------- YAML

_PLAIN: Final = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*")
_WORDS: Final = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
"""Plain words that some readers of YAML take for something else than text."""

_BLOCK: Final = re.compile(r"(?=\S)[\t\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe]*[^\s]\n?")
_ODD: Final = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def to_yaml(value: dict[str, Any]) -> str:
    """Return maps, lists, texts, integers and booleans as YAML 1.1 and 1.2 both read them."""
    return "".join(f"{line}\n" for line in _lines(value))


def _lines(value: dict[str, Any] | list[Any]) -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _under(f"{_scalar(key)}:", each)
    else:
        for each in value:
            first, *rest = _lines(each) if isinstance(each, dict) and each else [_scalar(each)]
            yield f"- {first}"
            yield from (f"  {line}" for line in rest)


def _under(head: str, value: Any) -> Iterator[str]:
    if isinstance(value, dict | list) and value:
        yield head
        yield from (f"  {line}" for line in _lines(value))
    elif isinstance(value, str) and "\n" in value and _BLOCK.fullmatch(value):
        yield f"{head} |" if value.endswith("\n") else f"{head} |-"
        yield from (f"  {line}" if line else "" for line in value.removesuffix("\n").split("\n"))
    else:
        yield f"{head} {_scalar(value)}"


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
            return value
        # a text of JSON is one of YAML, once the characters are escaped that no line of YAML may hold
        return _ODD.sub(lambda odd: f"\\u{ord(odd[0]):04x}", json.dumps(value, ensure_ascii=False))
    return "{}" if isinstance(value, dict) else "[]"
