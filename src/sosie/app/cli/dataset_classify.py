"""`sosie dataset classify`: one's own people told apart."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sosie import foreign
from sosie.app.cli.arguments import AsJson
from sosie.app.cli.output import note_progress, print_json
from sosie.datasets import dataset_packages
from sosie.errors import InputError, NoFaceError, SosieError, UsageError
from sosie.output import check_output

if TYPE_CHECKING:
    from sosie.datasets.classify import Samples, Trial
    from sosie.methods.vae.latent import LatentSpace

_EVERY = 25
_WIDEST = 12


def classify(
    source: Annotated[
        Path,
        typer.Argument(help="A set, or a folder with a folder of photos for each person."),
    ],
    test: Annotated[float, typer.Option(help="Share of each person's photos to test on.")] = 0.2,
    out: Annotated[
        Path | None, typer.Option(help="The classifier; left out, classifier.npz in the folder.")
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(help="A classifier: name the faces of SOURCE, a photo or a folder of photos."),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Snapshot of `sosie train vae`: tell people apart by what it makes of faces, "
            "instead of Sosie's identity network."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier one.")] = False,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Processor threads; left out, all.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fit a classifier of people on a set or on folders of photos, or name faces by one."""
    with dataset_packages():
        if model is not None:
            if out is not None:
                raise UsageError("--out writes a classifier and --model uses one; give either.")
            _name(source, model, weights, threads, as_json)
            return
        from sosie.datasets.classify import ANYBODY, fit

        beside = foreign.inside(source, "classifier.npz", f"The folder {source}")
        path = check_output(out or beside, overwrite=overwrite)
        space = _opened(weights, threads)
        samples, notes = _samples(source, threads, space)
        usual = None
        if space is None:
            classifier, trial = fit(samples, test)
        else:
            own, others = _parted(samples)
            _, usual = fit(others, test)
            classifier, trial = fit(own, test, _hash_of(space), ANYBODY)
        classifier.save(path, overwrite)
    if as_json:
        print_json(_report(trial, path, notes, usual))
    else:
        told = [*notes, *lines(trial), *_baseline_lines(trial, usual)]
        print("\n".join([*told, f"{path}: {len(trial.names)} people"]))


def _opened(weights: Path | None, threads: int | None) -> LatentSpace | None:
    """The encoder of the user's own, where one is named."""
    from sosie.methods.vae import open_space

    return None if weights is None else open_space(weights, threads=threads)


def _hash_of(space: LatentSpace) -> str:
    return hashlib.sha256(space.file.read_bytes()).hexdigest()


def _parted(samples: Samples) -> tuple[Samples, Samples]:
    """By the user's encoder, and by the identity network."""
    from sosie.analysis.embedder import NUMBERS

    both = samples.identities
    own, others = both[:, NUMBERS:], both[:, :NUMBERS]
    return replace(samples, identities=own), replace(samples, identities=others)


def _baseline_lines(trial: Trial, usual: Trial | None) -> list[str]:
    """What else the same faces could be told apart by."""
    if usual is None or not trial.test:
        return []
    by_identity, by_number = 100 * usual.accuracy, 100 * _most_frequent(trial)
    line = f"  for comparison: {by_identity:.1f} % by Sosie's identity network; {by_number:.1f} %"
    return [f"{line} by always saying the most frequent name"]


def _most_frequent(trial: Trial) -> float:
    return float(trial.confusion.sum(1).max()) / trial.test


def lines(trial: Trial) -> list[str]:
    """How the classifier did, for a terminal."""
    if not trial.test:
        return [f"fitted on {trial.train} faces, without a test"]
    share = f"{100 * trial.accuracy:.1f} % of {trial.test}"
    text = [f"fitted on {trial.train} faces; {share} others got their name"]
    heads = [*trial.names, "nobody"]
    for name, row in zip(trial.names, trial.confusion, strict=True):
        wrong = [
            f"{number} as {head}"
            for head, number in zip(heads, row.tolist(), strict=True)
            if number and head != name
        ]
        total = int(row.sum())
        if not total:
            text.append(f"  {name}: not tested, as all faces are of one photo or track")
            continue
        right = total - sum(int(w.split()[0]) for w in wrong)
        if wrong or len(trial.names) <= _WIDEST:
            text.append(f"  {name}: {right} of {total}" + "".join(f", {w}" for w in wrong))
    return text


def _report(
    trial: Trial, path: Path, notes: list[str], usual: Trial | None = None
) -> dict[str, Any]:
    compared = {}
    if usual is not None and trial.test:
        compared = {
            "identity_accuracy": round(usual.accuracy, 4),
            "most_frequent": round(_most_frequent(trial), 4),
        }
    return {
        **compared,
        "file": str(path),
        "train": trial.train,
        "test": trial.test,
        "accuracy": round(trial.accuracy, 4) if trial.test else None,
        "names": list(trial.names),
        "confusion": trial.confusion.tolist(),
        "notes": notes,
    }


def _samples(
    source: Path, threads: int | None, space: LatentSpace | None
) -> tuple[Samples, list[str]]:
    from sosie.datasets.store import FaceStore

    describe = None if space is None else space.features

    if FaceStore.is_set(source):
        from sosie.datasets.samples import samples_of_set
        from sosie.datasets.transactions import hold_set

        with hold_set(source, change=False) as store:
            return samples_of_set(store, describe), []
    from sosie.analysis.analyzer import create_analyzer
    from sosie.datasets.samples import samples_of_folders

    def show(number: int) -> None:
        if number % _EVERY == 0:
            note_progress(f"{number} photos read ...")

    return samples_of_folders(source, create_analyzer(threads), show, describe)


def _name(
    source: Path, model: Path, weights: Path | None, threads: int | None, as_json: bool
) -> None:
    from sosie.analysis.analyzer import create_analyzer
    from sosie.analysis.embedder import NUMBERS
    from sosie.datasets.classify import Classifier
    from sosie.datasets.samples import identity_in, photos_in

    space = _opened(weights, threads)
    classifier = Classifier.load(model, None if space is None else _hash_of(space))
    if not source.exists():
        raise InputError(f"{source} does not exist; check the name.")
    paths = photos_in(source) if source.is_dir() else [source]
    if not paths:
        raise InputError(f"The folder {source} holds no photo; give another one.")
    analyzer = create_analyzer(threads)
    found: list[dict[str, Any]] = []
    faceless = False
    for path in paths:
        try:
            identity = identity_in(path, analyzer, None if space is None else space.features)
        except InputError as error:
            found.append({"photo": str(path), "error": str(error)})
            continue
        if identity is None:
            faceless = True
            found.append({"photo": str(path), "error": f"{path} shows no face."})
            continue
        guess = classifier.guess(identity[None, 0 if space is None else NUMBERS :])[0]
        figures = {"probability": guess.probability, "similarity": guess.similarity}
        rounded = {name: round(value, 4) for name, value in figures.items()}
        found.append({"photo": str(path), "name": guess.name, **rounded})
    if as_json:
        print_json({"photos": found})
    else:
        print("\n".join(map(_line, found)))
    if all("error" in entry for entry in found):
        alone = faceless and len(found) == 1
        raise typer.Exit(NoFaceError.exit_code if alone else SosieError.exit_code)


def _line(entry: dict[str, Any]) -> str:
    if "error" in entry:
        return str(entry["error"])
    name = entry["name"] or "nobody known"
    return (
        f"{entry['photo']}: {name} (probability {entry['probability']:.2f}, similarity "
        f"{entry['similarity']:.2f})"
    )
