"""Swap pairs of different people and judge the results with networks that Sosie does not use.

    python benchmarks/swap_quality.py DATA_FOLDER TEACHERS_FOLDER [--pairs 120] [--out report/]

DATA_FOLDER holds zips of photos (`celeba-*.zip` and `lfw-*.zip` with a folder an identity,
`hires.zip`, `youtube_faces_68.zip`) and `clips/*.mp4`; TEACHERS_FOLDER holds `mobileface_v2.onnx`
(identity), `yunet_n_640_640.onnx` (alignment for it) and `face_landmarker.task` (head pose and 52
expression weights, run with MediaPipe). Figures:

- similarity: cosine of the identity vectors of result and source, and whether it is above that of
  result and target; top-1: the result's nearest among all sources and all targets is its source;
- pose: degrees between the head rotations of result and target;
- expression: Euclidean distance of the 52 expression weights of result and target.

Only identities that the shape model was not fitted on are drawn (`tools/fit_face_shape.py`).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import sys
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import mediapipe
import numpy as np
import onnxruntime

import sosie
from sosie.datasets.split import identity_of, is_held_out
from sosie.geometry.alignment import align_matrix, warp

# Shares of the pairs by where the target is from: photos, video, and, apart, pictures whose faces
# are under 100 px, where the judges themselves are unsure.
SHARES = {"celeba": 0.40, "hires": 0.30, "clips": 0.30}
SMALL_SHARES = {"lfw": 0.15, "youtube": 0.15}


@dataclass(frozen=True)
class Picture:
    group: str
    identity: str
    name: str
    pixels: np.ndarray


@dataclass
class Judged:
    identity: np.ndarray
    rotation: np.ndarray
    expression: np.ndarray


class Judges:
    """The identity, pose and expression networks. Pictures are RGB uint8."""

    def __init__(self, teachers: Path) -> None:
        self.detector = cv2.FaceDetectorYN.create(
            str(teachers / "yunet_n_640_640.onnx"), "", (320, 320), 0.5
        )
        self.identity = onnxruntime.InferenceSession(
            str(teachers / "mobileface_v2.onnx"), providers=["CPUExecutionProvider"]
        )
        vision = mediapipe.tasks.vision
        self.landmarker = vision.FaceLandmarker.create_from_options(
            vision.FaceLandmarkerOptions(
                base_options=mediapipe.tasks.BaseOptions(
                    model_asset_path=str(teachers / "face_landmarker.task")
                ),
                output_face_blendshapes=True,
                output_facial_transformation_matrixes=True,
                min_face_detection_confidence=0.3,
                min_face_presence_confidence=0.3,
            )
        )

    def judge(self, pixels: np.ndarray) -> Judged | None:
        """None where a network does not find the face. The largest face is judged."""
        points = self._five_points(pixels)
        image = mediapipe.Image(
            image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(pixels)
        )
        found = self.landmarker.detect(image)
        if points is None or not found.face_blendshapes:
            return None
        aligned = warp(pixels, align_matrix(points, "arcface", 112), 112, 112)
        both = np.stack([aligned, aligned[:, ::-1]]).transpose(0, 3, 1, 2).astype(np.float32)
        vectors = self.identity.run(None, {self.identity.get_inputs()[0].name: both})[0]
        vector = vectors.sum(0)
        rotation = np.asarray(found.facial_transformation_matrixes[0])[:3, :3]
        u, _, vt = np.linalg.svd(rotation)
        weights = np.array([c.score for c in found.face_blendshapes[0]])
        return Judged(vector / np.linalg.norm(vector), u @ vt, weights)

    def _five_points(self, pixels: np.ndarray) -> np.ndarray | None:
        height, width = pixels.shape[:2]
        shrink = min(1.0, 640 / max(height, width))
        small = cv2.resize(pixels, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        self.detector.setInputSize((small.shape[1], small.shape[0]))
        _, faces = self.detector.detect(np.ascontiguousarray(small[:, :, ::-1]))
        if faces is None:
            return None
        largest = max(faces, key=lambda f: f[2] * f[3])
        return largest[4:14].reshape(5, 2) / shrink


def pictures(data: Path, seed: int) -> dict[str, list[Picture]]:
    """Held-out pictures by group, shuffled by `seed`; decoded only for the identities drawn."""
    drawn: dict[str, list[Picture]] = defaultdict(list)
    for group, pattern in (
        ("celeba", "celeba-*.zip"),
        ("lfw", "lfw-*.zip"),
        ("hires", "hires.zip"),
        ("youtube", "youtube_faces_68.zip"),
    ):
        for path in sorted(data.glob(pattern)):
            drawn[group] += _zip_pictures(group, path)
    for path in sorted((data / "clips").glob("*.mp4")):
        if not path.name.startswith("group"):
            drawn["clips"] += _clip_pictures(path)
    for group in drawn.values():
        random.Random(seed).shuffle(group)
    return drawn


def _zip_pictures(group: str, path: Path) -> Iterator[Picture]:
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if not name.endswith(".webp"):
                continue
            identity = identity_of(group, name)
            if is_held_out(identity):
                data = np.frombuffer(archive.read(name), np.uint8)
                yield Picture(group, identity, name, cv2.imdecode(data, 1)[:, :, ::-1])


def _clip_pictures(path: Path) -> Iterator[Picture]:
    # Eight frames a clip, far enough apart to differ in pose and expression.
    with av.open(str(path)) as container:
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    for index in np.linspace(0, len(frames) - 1, 8).astype(int):
        yield Picture("clips", f"clips/{path.name}", f"{path.name}#{index}", frames[index])


def draw_pairs(
    drawn: dict[str, list[Picture]], count: int, judges: Judges
) -> list[tuple[Picture, Picture]]:
    """Source photo and target of different people, by the shares of SHARES; each target is used
    once, and every picture is one that the judges themselves can read."""
    readable: dict[str, bool] = {}

    def usable(picture: Picture) -> bool:
        if picture.name not in readable:
            readable[picture.name] = judges.judge(picture.pixels) is not None
        return readable[picture.name]

    photos = {g: list(drawn[g]) for g in ("celeba", "hires")}
    source_groups = ["hires", "celeba", "hires", "hires"]
    pairs: list[tuple[Picture, Picture]] = []
    people: set[str] = set()
    for group, share in (SHARES | SMALL_SHARES).items():
        targets = iter(drawn[group])
        for number in range(round(count * share)):
            target = next(p for p in targets if usable(p))
            pool = photos[source_groups[number % len(source_groups)]]
            source = next(
                p
                for p in reversed(pool)
                if p.identity not in people and p.identity != target.identity and usable(p)
            )
            people.add(source.identity)
            pool.remove(source)
            pairs.append((source, target))
    return pairs


def same_person_similarity(drawn: dict[str, list[Picture]], judges: Judges) -> float:
    """Mean similarity of two real photos of one person, over CelebA identities: the yardstick."""
    by_person: dict[str, list[Picture]] = defaultdict(list)
    for picture in drawn["celeba"]:
        by_person[picture.identity].append(picture)
    values = []
    for photos in by_person.values():
        judged = [j for j in map(judges.judge, (p.pixels for p in photos[:2])) if j]
        if len(judged) == 2:
            values.append(float(judged[0].identity @ judged[1].identity))
    return float(np.mean(values)) if values else float("nan")


def score(
    pairs: list[tuple[Picture, Picture]], results: list[np.ndarray | None], judges: Judges
) -> list[dict[str, object]]:
    """One row of figures a pair."""
    sources = [judges.judge(s.pixels) for s, _ in pairs]
    targets = [judges.judge(t.pixels) for _, t in pairs]
    judged = [None if r is None else judges.judge(r) for r in results]
    gallery = np.stack([j.identity for j in sources + targets if j])
    rows = []
    for number, ((source, target), result) in enumerate(zip(pairs, judged, strict=True)):
        row: dict[str, object] = {"source": source.name, "target": target.name}
        row |= {"group": target.group, "swapped": result is not None}
        s, t = sources[number], targets[number]
        if result is not None and s and t:
            turn = np.clip((np.trace(result.rotation @ t.rotation.T) - 1) / 2, -1, 1)
            row |= {
                "similarity": float(result.identity @ s.identity),
                "similarity_target": float(result.identity @ t.identity),
                "top1": bool(np.argmax(gallery @ result.identity) == number),
                "pose_deg": float(np.degrees(np.arccos(turn))),
                "expression": float(np.linalg.norm(result.expression - t.expression)),
            }
        rows.append(row)
    return rows


def summarize(rows: list[dict[str, object]]) -> dict[str, float]:
    """Means over rows. A pair that was not swapped, or whose result the judges cannot read, counts
    as a miss in `nearer_source` and `top1` and is left out of the other means."""
    done = [r for r in rows if "similarity" in r]
    nearer = [r["similarity"] > r["similarity_target"] for r in done]  # type: ignore[operator]
    means = {
        key: float(np.mean([r[key] for r in done]))  # type: ignore[arg-type]
        for key in ("similarity", "similarity_target", "pose_deg", "expression")
    }
    return {
        "pairs": len(rows),
        "judged": len(done),
        "nearer_source": sum(nearer) / len(rows),
        "top1": sum(bool(r["top1"]) for r in done) / len(rows),
        **means,
    }


def sheet(pairs: list[tuple[Picture, Picture]], results: list[np.ndarray | None]) -> np.ndarray:
    """Source, target and result side by side, a row a pair, 256 px each."""

    def tile(pixels: np.ndarray | None) -> np.ndarray:
        if pixels is None:
            return np.zeros((256, 256, 3), np.uint8)
        scale = 256 / max(pixels.shape[:2])
        small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        out = np.full((256, 256, 3), 40, np.uint8)
        out[: small.shape[0], : small.shape[1]] = small[:256, :256]
        return out

    rows = [
        np.hstack([tile(s.pixels), tile(t.pixels), tile(r)])
        for (s, t), r in zip(pairs, results, strict=True)
    ]
    columns = [np.vstack(rows[i : i + 8]) for i in range(0, len(rows) // 8 * 8, 8)]
    return np.hstack(columns) if columns else np.vstack(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("teachers", type=Path)
    parser.add_argument("--pairs", type=int, default=120)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, help="folder for rows, and sheets of pictures")
    names = {f.name: f for f in dataclasses.fields(sosie.SwapOptions)}
    for name in ("method", "shape", "color", "blend", "mask_feather"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(names[name].default))
    arguments = parser.parse_args()
    chosen = {k: v for k, v in vars(arguments).items() if k in names and v is not None}
    judges = Judges(arguments.teachers)
    drawn = pictures(arguments.data, arguments.seed)
    pairs = draw_pairs(drawn, arguments.pairs, judges)
    results: list[np.ndarray | None] = []
    for source, target in pairs:
        try:
            swapped = sosie.swap_image(source.pixels, target.pixels, **chosen)
            results.append(swapped.image)
        except sosie.NoFaceError as error:
            print(f"not swapped: {source.name} -> {target.name}: {error}", file=sys.stderr)
            results.append(None)
    rows = score(pairs, results, judges)
    report = {
        "options": chosen,
        "same_person_similarity": same_person_similarity(drawn, judges),
        "all": summarize([r for r in rows if r["group"] in SHARES]),
        "small_faces": summarize([r for r in rows if r["group"] in SMALL_SHARES]),
        "by_target": {
            g: summarize([r for r in rows if r["group"] == g]) for g in SHARES | SMALL_SHARES
        },
    }
    print(json.dumps(report, indent=2))
    if arguments.out:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "rows.json").write_text(json.dumps(rows, indent=1))
        for start in range(0, len(pairs), 32):
            part = slice(start, start + 32)
            picture = sheet(pairs[part], results[part])
            cv2.imwrite(str(arguments.out / f"sheet_{start:03}.jpg"), picture[:, :, ::-1])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
