"""`sosie dataset`: from videos and photos to sets of faces."""

from __future__ import annotations

import typer

from sosie.app.cli.dataset_classify import classify
from sosie.app.cli.dataset_clean import clean
from sosie.app.cli.dataset_cluster import cluster
from sosie.app.cli.dataset_extract import extract
from sosie.app.cli.dataset_pack import merge, pack, split, unpack, verify
from sosie.app.cli.dataset_report import report

app = typer.Typer(no_args_is_help=True)
for _command in (
    extract,
    cluster,
    clean,
    report,
    pack,
    unpack,
    verify,
    merge,
    split,
    classify,
):
    app.command()(_command)
