"""`tacit`: the command line. Commands load what they need when they run, so that looking at a ledger does not wait for JAX."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from tacit.foundation.errors import TacitError

if TYPE_CHECKING:
    from rich.console import Console

    from tacit.interface.report.record import Report

Command = TypeVar("Command", bound=Callable[..., Any])

app = typer.Typer(
    name="tacit",
    help="Parties compute together on data that none of them shows.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
demo_app = typer.Typer(help="Complete examples on data that comes with the library.", no_args_is_help=True)
train_app = typer.Typer(help="Train a model on tables that different parties hold.", no_args_is_help=True)
predict_app = typer.Typer(help="Score records with a trained model.", no_args_is_help=True)
ledger_app = typer.Typer(help="Look at what was revealed.", no_args_is_help=True)
for name, group in (("demo", demo_app), ("train", train_app), ("predict", predict_app), ("ledger", ledger_app)):
    app.add_typer(group, name=name)

Config = Annotated[Path, typer.Option("--config", "-c", help="The job: a YAML file, see docs/tutorials/train-lr.md.")]
Json = Annotated[Path | None, typer.Option("--json", help="Write the report as JSON to this file.")]
Html = Annotated[Path | None, typer.Option("--html", help="Write the report as a page to this file.")]


def reports_errors(command: Command) -> Command:
    """Errors that Tacit raises on purpose are printed, without a traceback; the exit status is then 1."""

    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> Any:
        try:
            return command(*arguments, **options)
        except TacitError as error:
            lines = [str(error), *getattr(error, "__notes__", [])]
            typer.secho(f"{type(error).__name__}: {lines[0]}", fg="red", err=True)
            for line in lines[1:]:
                typer.secho(f"  {line}", err=True)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            typer.secho("interrupted; every party's process has ended", err=True)
            raise typer.Exit(130) from None

    return run  # type: ignore[return-value]


@demo_app.command("hospitals")
@reports_errors
def demo_hospitals(
    json: Json = None,
    html: Html = None,
    folder: Annotated[
        Path | None, typer.Option(help="Where to keep data, job file and model; default: nowhere.")
    ] = None,
) -> None:
    """Two hospitals and a helper train a logistic regression on records that are split between the hospitals."""
    import tempfile

    from tacit.interface.job.hospitals import write_hospitals

    console = _console()
    console.print("[bold]Two hospitals, one model, no shared records[/]")
    console.print(
        "hospital-a has ten cell measurements of its patients and their diagnosis, hospital-b has twenty other measurements. "
        "A helper deals randomness and sees neither data nor model. Each is a process of its own.\n",
        style="dim",
    )
    with tempfile.TemporaryDirectory(prefix="tacit-demo-") as temporary:
        where = folder or Path(temporary)
        _train(
            write_hospitals(where), json, html, console, title="Two hospitals train on records that they do not show"
        )
    if folder:
        console.print(
            f"\nRun it again on your own terms: tacit train lr --config {folder / 'job.yaml'}", highlight=False
        )


@train_app.command("lr")
@reports_errors
def train_lr(config: Config, json: Json = None, html: Html = None) -> None:
    """Logistic regression, as the job file says."""
    _train(config, json, html, _console())


@predict_app.command("lr")
@reports_errors
def predict_lr(config: Config) -> None:
    """Score new records with a model of `tacit train lr`."""
    from tacit.interface.job.config import PredictJob
    from tacit.interface.job.located import load_config

    job = load_config(config, PredictJob)
    from tacit.interface.job.predict import predict
    from tacit.interface.report.terminal import Terminal

    with Terminal(_console()) as watch:
        predict(job, watch)


@ledger_app.command("show")
@reports_errors
def ledger_show(files: Annotated[list[Path], typer.Argument(help="Ledger files.")]) -> None:
    """Print the records of ledgers, verified, and the last hash of each."""
    from tacit.interface.report.ledgers import show_ledger

    for path in files:
        show_ledger(path, _console())


@ledger_app.command("verify")
@reports_errors
def ledger_verify(files: Annotated[list[Path], typer.Argument(help="Ledger files.")]) -> None:
    """Check every hash of ledgers; status 1, naming the line, if one does not fit."""
    from tacit.interface.report.ledgers import check_ledger

    good = [check_ledger(path, _console()) for path in files]
    if not all(good):
        raise typer.Exit(1)


@app.command("info")
@reports_errors
def info(short: Annotated[bool, typer.Option("--short", help="One line.")] = False) -> None:
    """Version, processor features in use, and the protocols with their threat models."""
    from tacit.interface.report.about import about, about_briefly

    if short:
        typer.echo(about_briefly())
    else:
        about(_console())


def main() -> None:
    """The entry point of the `tacit` command."""
    app()


def _train(config: Path, json: Path | None, html: Path | None, console: Console, **options: str) -> Report:
    from tacit.interface.job.config import TrainJob
    from tacit.interface.job.located import load_config

    job = load_config(config, TrainJob)
    # Only a job that makes sense is worth the time it takes to load JAX.
    from tacit.interface.job.train import train
    from tacit.interface.report.page import save_page
    from tacit.interface.report.terminal import Terminal, show

    with Terminal(console) as watch:
        report = train(job, watch, **options)
    show(report, console)
    if json is not None:
        report.save_json(json)
        console.print(f"report: {json}", highlight=False)
    if html is not None:
        save_page(report, html)
        console.print(f"page: {html}", highlight=False)
    return report


def _console() -> Console:
    from rich.console import Console

    # A pipe has no width of its own, and tables should not be cut in it.
    return Console(width=None if sys.stdout.isatty() else 140)


if __name__ == "__main__":
    main()
