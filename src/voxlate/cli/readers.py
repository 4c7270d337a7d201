"""`voxlate readers`: create, serve, link, analyse."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import click

from voxlate.cli.console import begin, say
from voxlate.cli.options import PATH, no_progress
from voxlate.cli.progress import progress_bar
from voxlate.cli.verb import VerbGroup

database = click.option(
    "--database", metavar="URL", help="postgresql://…, for several sites.  [default: answers.sqlite in the study]"
)


@click.group(cls=VerbGroup, example="voxlate readers create study.yaml study")
def readers() -> None:
    """Run blinded reader studies and analyse them."""


@readers.command(example="voxlate readers create study.yaml study")
@click.argument("study", type=PATH)
@click.argument("output", metavar="OUT", type=PATH)
@no_progress
def create(study: Path, output: Path, no_progress: bool) -> None:
    """Create a study folder.

    The images are encoded and allocated to the readers, file properties that tell real from synthetic are searched,
    and the protocol is frozen. STUDY is a YAML file; docs/how-to/reader-study.md describes it. OUT must be new or
    empty.
    """
    from voxlate.readers.package import create_package, load_package

    begin("encoding the images of a study", out=output)
    with progress_bar(off=no_progress) as bar:
        task = bar.add_task("encoding cases", total=None)
        leaks = create_package(study, output, watch=lambda _: bar.advance(task))
    package = load_package(output, is_verified=False)
    trials = len(next(iter(package.trials.values())))
    tested = ", ".join(leak.feature for leak in leaks)
    practice = f" after {len(package.study.practice)} practice cases" if package.study.practice else ""
    say(f"{output.name}: {len(package.trials)} readers, {trials} trials each{practice}; no leak found in {tested}")
    say(f"protocol {package.protocol_hash}: write it down, it proves that nothing changed after the first answer")


@readers.command(example="voxlate readers serve study")
@click.argument("folder", type=PATH)
@database
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8765, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on.")
@click.option("--name", "names", multiple=True, help="Host name that readers use, with the port unless it is 443.")
@click.option("--certificate", type=PATH, help="PEM file for TLS.")
@click.option("--certificate-key", type=PATH, help="Its private key.")
@click.option("--allow-network", is_flag=True, help="Accept connections from other computers; needs TLS and --name.")
@click.option("--links", "links_file", type=PATH, help="Write the links to this file instead of printing them.")
def serve(
    folder: Path,
    database: str | None,
    host: str,
    port: int,
    names: tuple[str, ...],
    certificate: Path | None,
    certificate_key: Path | None,
    allow_network: bool,
    links_file: Path | None,
) -> None:
    """Serve a study to its readers. Each reader gets a personal link that works once.

    Sessions survive a restart of the server.
    """
    from voxlate.readers.server.serve import serve as run
    from voxlate.web.server.auth import LINK_DAYS
    from voxlate.web.server.serve import Address

    address = Address(
        host=host,
        port=port,
        public_names=names,
        certificate=certificate,
        certificate_key=certificate_key,
        is_network_allowed=allow_network,
    )

    def announce(links: Mapping[str, str]) -> None:
        _announce(links, links_file)
        say(
            f"Each link opens the study for one reader, once within {LINK_DAYS} days; Ctrl-C stops the server, all "
            "answers are kept, and the same command goes on."
        )

    run(folder, address, database_url=database, announce=announce)


@readers.command(example="voxlate readers link study reader1")
@click.argument("folder", type=PATH)
@click.argument("reader")
@database
@click.option("--origin", default="http://127.0.0.1:8765", show_default=True, help="Address of the study.")
def link(folder: Path, reader: str, database: str | None, origin: str) -> None:
    """Print a new link for one reader.

    READER is an `id` of the study file. The study may be served meanwhile.
    """
    from voxlate.readers.package import load_package
    from voxlate.readers.server.serve import links
    from voxlate.web.server.answer_log import AnswerLog
    from voxlate.web.server.sql import open_database

    package = load_package(folder, is_verified=False)
    with closing(AnswerLog(open_database(folder, database), package.protocol_hash)) as store:
        _announce(links(package, store, origin, (reader,)), None)


@readers.command(example="voxlate readers analyse study analysis --scores evaluation/scores.tsv")
@click.argument("folder", type=PATH)
@click.argument("output", metavar="OUT", type=PATH)
@database
@click.option("--scores", type=PATH, help="scores.tsv of voxlate evaluate, to compare metrics with readers.")
@click.option("--metric", default="mae", show_default=True, help="Metric of that table, such as psnr or ssim.")
def analyse(folder: Path, output: Path, database: str | None, scores: Path | None, metric: str) -> None:
    """Analyse all answers as the protocol says.

    OUT becomes a folder with report.html, analysis.json, tables and exports.
    """
    from voxlate.readers.analysis import analyse_study

    lines = analyse_study(folder, output, database_url=database, scores=scores, metric=metric)
    for line in lines:
        say(line)


def _announce(links: Mapping[str, str], file: Path | None) -> None:
    lines = "".join(f"{reader}\t{address}\n" for reader, address in links.items())
    if file is None:
        click.echo(lines, nl=False)
        return
    from voxlate.io.atomic import replacing

    with replacing(file) as partial:
        partial.chmod(0o600)  # before a link is in it: whoever reads it can answer for the reader
        partial.write_text(lines, encoding="utf-8")
    click.echo(f"{len(links)} links in {file.name}; each works once")
