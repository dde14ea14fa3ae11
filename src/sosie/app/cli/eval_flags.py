"""Flags that the commands which score swaps share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Identity = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE[:range=LOW..HIGH]",
        help="Another recognition network beside Sosie's, as ONNX for faces of 112 x 112 px in the "
        "template of ArcFace; range is that of its input, left out -1..1. Repeatable.",
    ),
]
Landmarker = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="MediaPipe's face_landmarker.task, which then judges pose and expression beside "
        "Sosie's network; needs mediapipe.",
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(help="Folder of weights that Sosie does not ship; left out, $SOSIE_WEIGHTS."),
]
Perceptual = Annotated[
    str, typer.Option(help="Network of LPIPS; auto takes the first whose weights are there.")
]
Threads = Annotated[int | None, typer.Option(min=1, help="Processor threads; left out, all.")]
Pairs = Annotated[Path, typer.Option(help="List of pairs, as `sosie eval protocol` draws it.")]
Out = Annotated[Path, typer.Option(help="Folder in which each run gets a folder of its own.")]
Name = Annotated[
    str | None, typer.Option(help="Name of the run and of its folder; left out, see the command.")
]
Root = Annotated[
    Path | None, typer.Option(help="Folder of the pictures, in place of the list's own.")
]
Limit = Annotated[int | None, typer.Option(min=1, help="Pairs at most, the first of the list.")]
Fid = Annotated[bool, typer.Option("--fid", help="Also FID and KID: needs weights, a second each.")]
Cache = Annotated[
    Path | None,
    typer.Option(help="Folder for what is analyzed and scored once; left out, one of the user's."),
]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Keep and use nothing from before.")]
NoReport = Annotated[bool, typer.Option("--no-report", help="Write no report.html, report.md.")]
