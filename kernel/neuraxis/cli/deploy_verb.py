"""`neuraxis deploy kubernetes SCENARIO`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neuraxis.cli.terminal import JsonOption

app = typer.Typer(add_completion=False, rich_markup_mode="markdown", no_args_is_help=True)


@app.callback()
def deploy() -> None:
    """Write what runs a scenario on workers elsewhere."""


@app.command()
def kubernetes(
    scenario: Annotated[Path, typer.Argument(help="The scenario file (TOML).")],
    workers: Annotated[int, typer.Option(help="How many pods share the run.")],
    image: Annotated[str, typer.Option(help="Image with Neuraxis, its plugins and the client of the transport.")],
    transport: Annotated[str, typer.Option(help="The broker: nats://HOST:PORT or redis://HOST:PORT; no secrets.")],
    claim: Annotated[str, typer.Option(help="PersistentVolumeClaim that all pods may write: ReadWriteMany.")],
    namespace: Annotated[str | None, typer.Option(help="Namespace of all objects.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run; else made of the scenario's.")] = None,
    cpu: Annotated[str, typer.Option(help="Cores of each pod.")] = "1",
    memory: Annotated[str, typer.Option(help="Memory of each pod.")] = "2Gi",
    secret: Annotated[
        str | None, typer.Option(help="Secret with the key password or token, for the transport.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the manifest here, instead of printing it.")] = None,
    json: JsonOption = False,
) -> None:
    """Write the manifest of a run on Kubernetes: a StatefulSet of workers, a Job that conducts them.

    Nothing is applied; `kubectl apply -f FILE` does that.
    """
    from neuraxis.cli.terminal import say, tell_operator
    from neuraxis.cluster.deploy import Wanted
    from neuraxis.cluster.deploy import deploy as made_for
    from neuraxis.files import write_atomically

    wanted = Wanted(
        workers=workers,
        image=image,
        transport=transport,
        claim=claim,
        namespace=namespace,
        name=name,
        cpu=cpu,
        memory=memory,
        secret=secret,
    )
    made = made_for(scenario, wanted)
    manifest = made.manifest()
    if out is not None:
        write_atomically(out, [manifest.encode()])
    if json:
        facts = {"name": made.name, "files": list(made.files), "place": made.place, "notes": list(made.notes)}
        say({**facts, "manifest": manifest, "written": str(out) if out is not None else None})
    elif out is None:
        print(manifest, end="")
    else:
        for note in made.notes:
            tell_operator(f"note: {note}")
        print(f"written: {out}; apply it with: kubectl apply -f {out}")
