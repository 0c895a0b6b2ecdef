"""What `neuraxis deploy kubernetes` writes is valid, tells no secret, and its commands run in any order."""

from __future__ import annotations

import copy
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from neuraxis.cluster.deploy import FILES_BYTES_MAX, Deployment, Wanted, deploy, to_yaml
from neuraxis.errors import ScenarioInvalid, UsageInvalid
from neuraxis.simulation import Simulation

from .conftest import ended, reaches, status_of, wait_until
from .graphs import ROOT

kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="needs the package kubernetes-validate")
yaml = pytest.importorskip("yaml", reason="the reader of YAML comes with kubernetes-validate")

RING = ROOT / "scenarios" / "ring.toml"
USUAL: dict[str, Any] = {
    "workers": 2,
    "image": "registry.example/brains/neuraxis:0.1.0",
    "transport": "nats://broker.example:4222",
    "claim": "runs",
}


def made(path: Path = RING, **more: Any) -> Deployment:
    return deploy(path, Wanted(**{**USUAL, **more}))


def read(found: Deployment) -> list[dict[str, Any]]:
    """Return the objects as a reader of YAML finds them in the manifest."""
    return list(yaml.safe_load_all(found.manifest()))


def require_valid(document: dict[str, Any]) -> None:
    version = ".".join(kubernetes_validate.latest_version().split(".")[:2])
    kubernetes_validate.validate(document, version, strict=True)


def pods(found: Deployment) -> list[dict[str, Any]]:
    specs = [each["spec"].get("template") for each in read(found) if "spec" in each]
    return [each["spec"] for each in specs if each]


def with_data(folder: Path, data: bytes) -> Path:
    """Write a scenario with an included file below, a plugin above, and a resource."""
    (folder / "ring.py").write_text(RING.with_suffix(".py").read_text())
    (folder / "sets" / "parts").mkdir(parents=True)
    (folder / "sets" / "parts" / "end.toml").write_text("neuraxis = 1\n[scenario]\nuntil = 100\n")
    (folder / "sets" / "table.bin").write_bytes(data)
    path = folder / "sets" / "My Ring.toml"
    path.write_text(
        'neuraxis = 1\ninclude = ["parts/end.toml"]\n[scenario]\nplugins = ["../ring.py"]\n'
        '[actors.relay]\nkind = "ring.relay"\ncount = 4\n'
        f'[resources.table]\npath = "table.bin"\nsha256 = "{"0" * 64}"\n'
    )
    return path


# -------------------------------------------------------------------------------------- form


@pytest.mark.parametrize(
    "more", [{}, {"secret": "broker", "namespace": "brains", "name": "a-run"}, {"cpu": "500m", "memory": "512Mi"}]
)
def test_every_object_is_what_kubernetes_takes(more: dict[str, Any]) -> None:
    found = made(**more)
    assert [each["kind"] for each in read(found)] == ["ConfigMap", "Service", "StatefulSet", "Job"]
    for document in read(found):
        require_valid(document)


def test_the_validator_finds_what_is_wrong() -> None:
    for place, value in (("replicas", "two"), ("serviceNames", "x")):
        broken = copy.deepcopy(read(made())[2])
        broken["spec"][place] = value
        with pytest.raises(kubernetes_validate.ValidationError):
            require_valid(broken)


def test_the_text_reads_back_as_the_objects_and_is_the_same_each_time() -> None:
    found = made(secret="broker")
    assert read(found) == list(found.documents)
    assert found.manifest() == made(secret="broker").manifest()


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "plain",
            "yes",
            "Null",
            "1",
            "1e3",
            "0x1f",
            "-",
            "~",
            "a: b",
            "a #b",
            "- a",
            "{}",
            "'",
            '"',
            "\\",
            "é ☃ 𝄞",
        ),
        *("one\ntwo", "one\ntwo\n", "one\n\n\ntwo\n", "two\n\n", "\n", " first\nsecond", "end \n", "tab\n\tinside\n"),
        *("cr\r\nlf\n", "bell\x07", "nel\x85 del\x7f", "ls\u2028ps\u2029\nx", "bom\ufeff\nx", "a\n# b\n--- \n... c\n"),
    ],
)
def test_every_text_survives_yaml(text: str) -> None:
    value = {"map": {"text": text, text: "key"}, "list": [text, {"in": text, "more": [1, True, {}, []]}]}
    assert yaml.safe_load(to_yaml(value)) == value


# -------------------------------------------------------------------------------------- pods


def test_pods_have_no_rights_that_they_do_not_need() -> None:
    both = pods(made())
    assert len(both) == 2
    for pod in both:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
        (container,) = pod["containers"]
        rights = container["securityContext"]
        assert rights["allowPrivilegeEscalation"] is False
        assert rights["readOnlyRootFilesystem"] is True
        assert rights["capabilities"] == {"drop": ["ALL"]}
        mounts = {each["mountPath"]: each["name"] for each in container["volumeMounts"]}
        volumes = {each["name"]: each for each in pod["volumes"]}
        assert "emptyDir" in volumes[mounts["/tmp"]]
        assert volumes[mounts["/runs"]]["persistentVolumeClaim"] == {"claimName": "runs"}
        assert container["resources"]["limits"] == {"cpu": "1", "memory": "2Gi"}


def test_secrets_come_from_a_secret_and_never_stand_in_the_manifest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEURAXIS_TRANSPORT_PASSWORD", "hunter2")
    monkeypatch.setenv("NEURAXIS_TRANSPORT_TOKEN", "hunter3")
    found = made(secret="broker", transport="redis://ann@broker.example")
    assert "hunter" not in found.manifest()
    for pod in pods(found):
        names = {
            each["name"]: each["valueFrom"]["secretKeyRef"]
            for each in pod["containers"][0]["env"]
            if "secretKeyRef" in each.get("valueFrom", {})
        }
        assert set(names) == {"NEURAXIS_TRANSPORT_PASSWORD", "NEURAXIS_TRANSPORT_TOKEN"}
        assert {each["name"] for each in names.values()} == {"broker"}


@pytest.mark.parametrize(
    "url", ["redis://:hunter2@broker", "nats://hunter2@broker", "nats://ann:hunter2@broker", "redis://u:hunter2@[x"]
)
def test_a_secret_in_the_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UsageInvalid) as refused:
        made(transport=url)
    assert "hunter2" not in str(refused.value)


# ------------------------------------------------------------------------------------- files


def test_small_texts_travel_in_a_config_map_with_their_folders(tmp_path: Path) -> None:
    path = with_data(tmp_path, b"1 2 3\n")
    found = made(path)
    assert found.files == ("ring.py", "sets/My Ring.toml", "sets/parts/end.toml", "sets/table.bin")
    data = read(found)[0]["data"]
    for pod in pods(found):
        container = pod["containers"][0]
        there = {
            each["mountPath"]: data[each["subPath"]] for each in container["volumeMounts"] if each["name"] == "scenario"
        }
        assert there == {f"/scenario/{each}": (tmp_path / each).read_text() for each in found.files}
    assert "/scenario/sets/My Ring.toml" in read(found)[-1]["spec"]["template"]["spec"]["containers"][0]["command"]
    for document in read(found):
        require_valid(document)


@pytest.mark.parametrize("data", [b"\xff\x00", b"x" * (FILES_BYTES_MAX + 1)])
def test_other_files_must_lie_on_the_claim_which_the_notes_say(tmp_path: Path, data: bytes) -> None:
    found = made(with_data(tmp_path, data), name="big")
    assert [each["kind"] for each in read(found)] == ["Service", "StatefulSet", "Job"]
    assert found.place == "/runs/scenarios/big"
    assert "#   sets/table.bin\n" in found.manifest()
    assert "/runs/scenarios/big/sets/My Ring.toml" in found.manifest()


# ---------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"workers": 0}, "--workers 1"),
        ({"workers": 1_000}, "1000 workers"),
        ({"transport": "local:"}, "redis://HOST:PORT"),
        ({"transport": "nats:"}, "no host"),
        ({"transport": "pigeon://loft"}, "pigeon"),
        ({"image": ""}, "--image"),
        ({"image": "a b"}, "--image"),
        ({"claim": "Runs"}, "--claim"),
        ({"namespace": "a_b"}, "--namespace"),
        ({"secret": "-"}, "--secret"),
        ({"name": "Ring"}, "--name"),
        ({"name": "1st"}, "--name"),
        ({"name": "r" * 41}, "--name"),
        ({"cpu": "0"}, "--cpu"),
        ({"cpu": "two"}, "--cpu"),
        ({"memory": "2 GB"}, "--memory"),
    ],
)
def test_what_cannot_be_is_refused_with_the_remedy(more: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageInvalid) as refused:
        made(**more)
    assert says in str(refused.value)
    assert refused.value.remedy
    assert refused.value.exit_code == 2


def test_a_scenario_that_cannot_run_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text('neuraxis = 1\n[scenario]\nuntil = 5\n[actors.a]\nkind = "no.such"\n')
    with pytest.raises(ScenarioInvalid):
        made(path)


@pytest.mark.parametrize(("scenario", "name"), [("My Ring!", "my-ring"), ("2nd", "run-2nd"), ("é", "run")])
def test_a_name_is_made_of_the_scenarios(tmp_path: Path, scenario: str, name: str) -> None:
    (tmp_path / "ring.py").write_text(RING.with_suffix(".py").read_text())
    path = tmp_path / "s.toml"
    path.write_text(RING.read_text().replace('name = "ring"', f'name = "{scenario}"'))
    assert made(path).name == name


# ---------------------------------------------------------------------------------- commands


OPTIONS = [word for name, value in USUAL.items() for word in (f"--{name}", value)]


def test_the_verb_writes_prints_and_tells_the_same(tmp_path: Path, start: Any) -> None:
    file = tmp_path / "ring.yaml"
    code, told, err = ended(start("deploy", "kubernetes", RING, *OPTIONS, "--out", file, "--json"))
    assert code == 0, err
    assert told["manifest"] == file.read_text() == made().manifest()
    out, _ = start("deploy", "kubernetes", RING, *OPTIONS).communicate(timeout=60)
    assert out == told["manifest"]
    code, told, _ = ended(start("deploy", "kubernetes", RING, *OPTIONS, "--transport", "local:", "--json"))
    assert (code, told["error"]["code"]) == (2, "NX109")


def test_a_worker_that_waits_in_vain_says_so(tmp_path: Path, start: Any) -> None:
    worker = start("worker", tmp_path / "run", "--index", 1, "--wait", 0.1)
    _, err = worker.communicate(timeout=60)
    assert worker.returncode == 2
    assert "waiting for a run" in err
    assert "nobody began a run" in err


def test_to_go_on_with_a_run_that_has_no_folder_is_refused(start: Any) -> None:
    code, told, _ = ended(start("run", RING, "--resume", "--json"))
    assert code == 2
    assert "--folder" in told["error"]["message"]


class Keeper:
    """Starts a command again whenever it ends, as a StatefulSet does, until it is closed."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.codes: list[int] = []
        self._closed = threading.Event()
        self._command = command
        self._environment = {**os.environ, **environment}
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep)
        self._thread.start()

    def _keep(self) -> None:
        while not self._closed.wait(0.1):
            quiet = subprocess.DEVNULL
            self._process = subprocess.Popen(self._command, env=self._environment, stdout=quiet, stderr=quiet)
            self.codes.append(self._process.wait())

    def close(self) -> None:
        self._closed.set()
        if self._process is not None:
            self._process.kill()
        self._thread.join()


def of_pod(found: Deployment, kind: str, runs: Path) -> list[str]:
    """Return the command of a pod, for this host: another place of runs and of the scenario, another transport."""
    (document,) = [each for each in read(found) if each["kind"] == kind]
    words = document["spec"]["template"]["spec"]["containers"][0]["command"]
    here = [
        word.replace("/runs/", f"{runs}/")
        .replace("/scenario/", f"{RING.parent}/")
        .replace(USUAL["transport"], "local:")
        for word in words
    ]
    assert here[0] == "neuraxis"
    return here[1:]


@pytest.mark.slow
def test_pods_that_are_kept_alive_finish_a_run_through_a_rolling_restart(tmp_path: Path, start: Any) -> None:
    found = made()
    run = tmp_path / "ring"
    command = [sys.executable, "-m", "neuraxis", *of_pod(found, "StatefulSet", tmp_path)]
    keepers = [Keeper(command, {"HOSTNAME": f"ring-workers-{ordinal}"}) for ordinal in range(2)]
    try:
        conduct = [*of_pod(found, "Job", tmp_path), "--until", "30000", "--set", "expect={}", "--json"]
        process = start(*conduct)
        wait_until(reaches(run, 1_000), what="tick 1,000")
        process.send_signal(signal.SIGUSR1)
        wait_until(lambda: (status_of(run) or {}).get("replaced", 0) >= 2, what="two replaced workers")
        wait_until(reaches(run, 8_000), what="tick 8,000")
        process.send_signal(signal.SIGTERM)  # the pod of the conductor goes to another node
        _, err = process.communicate(timeout=120)
        assert process.returncode == 143, err
        code, told, err = ended(start(*conduct))
        assert code == 0, err
        wait_until(lambda: all(each.codes.count(0) >= 4 for each in keepers), what="workers that find the run over")
        again = ended(start(*conduct))
    finally:
        for each in keepers:
            each.close()
    with Simulation.from_scenario(RING, overrides=["scenario.until=30000"]) as sim:
        assert told["digest"] == sim.advance(until=30_000).digest
    assert told["workers"] == 2
    assert again[1]["digest"] == told["digest"]
    assert not (run / "workers").exists()


# ------------------------------------------------------------------------------------- Slurm


@pytest.mark.slow
def test_steps_of_a_slurm_job_give_the_bits_of_one_process(tmp_path: Path, start: Any) -> None:
    srun = tmp_path / "bin" / "srun"
    srun.parent.mkdir()
    steps = tmp_path / "steps"
    srun.write_text(
        f'#!/bin/sh\necho "$@" >> {steps}\nwhile [ "${{1#--}}" != "$1" ]; do shift; done\nSLURM_PROCID=0 exec "$@"\n'
    )
    srun.chmod(0o755)
    there = {"PATH": f"{srun.parent}:{os.environ['PATH']}", "SLURM_JOB_ID": "7"}
    arguments = ["--workers", 2, "--launcher", "slurm", "--until", 3_000, "--set", "expect={}"]
    code, told, err = ended(start("run", RING, *arguments, "--folder", tmp_path / "run", "--json", **there))
    assert code == 0, err
    with Simulation.from_scenario(RING, overrides=["scenario.until=3000"]) as sim:
        assert told["digest"] == sim.advance(until=3_000).digest
    lines = steps.read_text().splitlines()
    assert len(lines) == 2
    assert all("--ntasks=1" in line and "--exact" in line for line in lines)
    assert told["workers"] == 2
