"""The options of a swap: one documented dataclass for the CLI, the Python API and saved JSON."""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, get_args, get_type_hints

from sosie.errors import UsageError, nearest
from sosie.files import with_absolute_file
from sosie.option_rules import NOT_FOR, OF_PUBLISHED, ONLY_FOR, one_of, values_in

BLENDS = ("multiband", "poisson", "alpha")
COLORS = ("light", "match", "none", "rct", "lct", "mkl", "idt", "sot")
FACE_TYPES = ("half", "mid-full", "full", "whole", "head")
"""What a network of one person sees of a face: `sosie.geometry.face_types` has their crops."""
COMPARISONS = ("wipe", "side")

RENAMED = {"colour": "color"}
"""Options of before -> what they are called now."""
KEPT = ("spectacles", "hat", "hair")
"""What of a source may stay on its face."""
KEPT_PARTS = ("mouth", "eyes", "brows")
"""What of a target's face may stay its own."""
REMOVABLE = ("spectacles", "beard")
"""What may be taken off a target."""
MODEL_FILES = ("model", "weights", "encoder", "converter", "face_model")
"""Options that name a file of weights."""
WHOLE_REGIONS = ("face", "hair", "both")
"""What of a source is put in."""
FACE_REGIONS = ("eyes", "brows", "nose", "mouth", "skin", "ears")
"""Parts of its face that `e4s` puts in."""
_PATHS = (*MODEL_FILES, "layers", "masks", "stages", "watch", "work")
NO_CONVERTER = "none"
"""In place of a converter, where the encoder is the swapper's own."""


def _option(
    default: Any,
    *,
    choices: tuple[str, ...] = (),
    within: tuple[float, float] | None = None,
    offers: str | tuple[str, ...] = (),
    flag: str | None = None,
) -> Any:
    """A field of SwapOptions, and all that the command line needs to know of it but its words.

    choices: the values that it may have. within: lowest and highest value. offers: what a shell
    completes, where that is not `choices`: values, or the `module:name` of them or of a function
    that gives them. flag: its name on the command line, where that is not the field's.
    """
    known = {"choices": choices, "within": within, "offers": offers or choices, "flag": flag}
    return dataclasses.field(default=default, metadata=known)


@dataclass(frozen=True)
class SwapOptions:
    """Every option of `sosie swap`. One that is declared here is a flag of the command, a keyword
    of the functions, and a key of saved JSON; these words are its help.

    method: what makes the new face: `graft`, `mesh`, `onnx`, `dfm` (a model of one person); a
        network that was trained (`simswap`, `faceshifter`, `ghost`, `facedancer`, `hififace`,
        `infoswap`, `blendswap`, `rsgan`, `fsgan`, `megafs`, `fslsd`, `e4s`; of two people
        `deepfacelab`, `deepfakes`; of your own `vae`, `korshunova`), or imported (`simswap` and its
        like, `inswapper`).
    model: file of the swapper, for the methods `onnx` and `dfm`.
    weights: snapshot that `sosie train` or `sosie weights import` wrote, for the method that it is
        of; of `fsgan`, `megafs` and `fslsd` the folder that holds their networks.
    interface: how a published swapper is called, where it is not known by its file.
    encoder: ONNX file of the face encoder that a published swapper takes its identity from.
    converter: ONNX file that turns embeddings of arcface into those of the swapper's own encoder;
        `none` where the encoder is its own.
    face_model: ONNX file of the network that reads a 3D face model's coefficients, for `hififace`.
    face_type: how much around the face a network of one person was trained to see, where its file
        does not say: `half`, `mid-full`, `full`, `whole` or `head`, as DeepFaceLab calls them.
    morph: how much of its person a network that has a morph factor (AMP) shows, 0..1; less keeps
        more of the target's expression.
    learned_mask: where such a network's face shows: where the mask that it learned of the `target`
        says so, that of the `source`, or `both`.
    region: what of the source is put in, by methods that can choose: its `face`, its `hair`, or
        `both`; of `e4s` parts of the face too, `eyes`, `brows`, `nose`, `mouth`, `skin` and `ears`,
        or several, `eyes,hair`.
    code_trajectory, flow_trajectory: of `fslsd` in a video, 0..0.95: how far the swapped face keeps
        to the frame before, its latents moved as the target's move; its pixels, by optical flow.
    direction: of a network that was trained of two people, `forward` puts the source's face onto
        the target, `back` the target's onto the source.
    processors: what acts on the swapped face before it is blended, or on the frame after, in this
        order: `sharpen`, `onnx:FILE` for a published restoration network; settings follow, as in
        `sharpen:0.5` or `onnx:gfpgan.onnx,weight=0.8`.
    faces: which faces of the target: `largest` (of which a frame shows most), `all`, or positions
        counted from the left, `0,2`;
        left at `largest` where reference photos tell whom to swap.
    keep: what stays on the source's face, of `spectacles`, `hat` and `hair`, or several,
        `spectacles,hat`; all else that hides the face is taken off, by the methods that carry the
        photo's own texture (`graft`, `mesh`). And what stays the target's own, with all methods:
        `mouth`, `eyes`, `brows`.
    expression: whose expression the new face has, `target` or `source`, or a number between, 0..1:
        0.3 is mostly the target's. Other than `target` for `graft` and `mesh` alone.
    remove: what is taken off the target: `spectacles`, where its eyes are seen through them;
        `beard`, which otherwise stays as its hair does; or `spectacles,beard`.
    shape: how much of the source's inner proportions (brows, eyes, nose, mouth) to carry, 0..1.
    blend: `multiband`, `poisson` or `alpha`.
    color: `light` moves the target's low-frequency light onto the face, `match` its mean and
        deviation, `none` keeps the source's colors; the rest are the color transfers that
        DeepFaceLab has: `rct` (Reinhard, in Lab), `lct` (covariance), `mkl` (Monge-Kantorovich),
        `idt` (iterative distribution transfer), `sot` (sliced optimal transport). The method
        `graft` learned the light: with another choice it is geometry alone, as `mesh` is.
    texture: `match` makes features as sharp as the target's, and gives smooth skin its pores and
        grain, where the target has more; `none` leaves both as the source has them.
    mask_feather: width of the mask's soft edge as a share of the face's size, 0..0.5.
    mask_erode: by how much the mask is made smaller first, as a share of the face's size, 0..0.3.
    start_s, end_s: part of a video to swap and write, in seconds.
    sequence: frame rate at which numbered images, by a pattern (`shot.%04d.png`) or their folder,
        are frames of one video: `24`, `23.976`, `24000/1001`; a pattern without it has 24.
    layers: what a compositor wants of each frame, beside the result: the swapped face alone,
        premultiplied with its matte, as `face.%04d.png`, `face.%04d.exr` or `face.mov` (ProRes
        4444), and in its folder the masks, a UV pass and `tracks.json`.
    masks: folder or pattern of masks by the frames' numbers, such as those of `layers`, corrected:
        white is the swapped face, black the target. A frame without one has its own.
    compare: write a comparison of target and result too, beside the result (`out.compare.mp4`):
        `side` shows both side by side, `wipe` parts one picture by a border, which moves in a
        video.
    stages: folder for pictures of what the method makes of a photo on its way to the swap, in a
        folder of the photo's name; of the method `fsgan`.
    watch: picture (`.jpg`) that shows the last frame of a video that is being swapped, and is
        renewed every other second.
    codec: video encoder, as FFmpeg names it; `keep` keeps the video's own codec, or takes what
        loses least where it has no encoder or the output's container cannot hold it.
    crf: constant rate factor of the encoder, 0 (best) to 63.
    preset: what the video is for: `web`, `apple`, `archive`, `prores`, `dnxhr` or `proxy`, each
        with its codec and pixel format; or the encoder's speed, from `ultrafast` to `veryslow`; or
        both, `apple,slow`.
    threads: processor threads; None uses all.
    provider: execution provider for all networks: `cpu`, `cuda`, `coreml`, ...; a network that it
        does not run is an error. `auto` takes the fastest that runs each.
    overwrite: replace an existing output.
    work: folder for the work folders of long videos, from which a run that was stopped is resumed;
        left out, they are hidden ones beside the outputs.
    restart: throw away what a stopped run kept of a video, and begin again.
    workers: so many processes of this machine make the segments of a video, or the photos of a
        folder, at once; the result is the same. Needs the extra `cluster`.
    scheduler: address of a Dask scheduler, `tcp://host:8786`, whose workers do that instead, on any
        number of machines that share a disk.
    """

    method: str = _option("graft", offers="sosie.methods:method_names")
    model: str | None = _option(None)
    weights: str | None = _option(None)
    interface: str | None = _option(None, offers="sosie.methods.interfaces:INTERFACES")
    encoder: str | None = _option(None)
    converter: str | None = _option(None)
    face_model: str | None = _option(None)
    face_type: str | None = _option(None, choices=FACE_TYPES)
    morph: float = _option(1.0, within=(0, 1))
    learned_mask: str = _option("both", choices=("both", "target", "source"))
    region: str = _option("face", offers=(*WHOLE_REGIONS, *FACE_REGIONS))
    code_trajectory: float = _option(0.0, within=(0, 0.95))
    flow_trajectory: float = _option(0.0, within=(0, 0.95))
    direction: str = _option("forward", choices=("forward", "back"))
    processors: tuple[str, ...] = _option(
        (), offers="sosie.processors:processor_names", flag="processor"
    )
    faces: str = _option("largest", offers=("largest", "all"))
    keep: str = _option("", offers=(*KEPT, *KEPT_PARTS))
    expression: str = _option("target", offers=("target", "source"))
    remove: str = _option("", offers=REMOVABLE)
    shape: float = _option(1.0, within=(0, 1))
    blend: str = _option("multiband", choices=BLENDS)
    color: str = _option("light", choices=COLORS)
    texture: str = _option("match", choices=("match", "none"))
    mask_feather: float = _option(0.012, within=(0, 0.5))
    mask_erode: float = _option(0.0, within=(0, 0.3))
    start_s: float | None = _option(None)
    end_s: float | None = _option(None)
    sequence: str | None = _option(None)
    layers: str | None = _option(None)
    masks: str | None = _option(None)
    compare: str | None = _option(None, choices=COMPARISONS)
    stages: str | None = _option(None)
    watch: str | None = _option(None)
    codec: str = _option("keep", offers="sosie.media.encoders:offered_codecs")
    crf: int = _option(18, within=(0, 63))
    preset: str = _option("veryfast", offers="sosie.media.deliveries:PRESET_NAMES")
    threads: int | None = _option(None, within=(1, 1024))
    provider: str = _option("cpu", offers="sosie.models.session:available_providers")
    overwrite: bool = _option(False)
    work: str | None = _option(None)
    restart: bool = _option(False)
    workers: int | None = _option(None, within=(1, 1024))
    scheduler: str | None = _option(None)

    def __post_init__(self) -> None:
        listed: Any = self.processors
        if isinstance(listed, str):
            raise UsageError(f"processors is a list of names, not {listed!r}: give ({listed!r},).")
        # JSON has lists, and saved one without a codec before there was a word for it.
        object.__setattr__(self, "processors", tuple(listed))
        for name, without in (("codec", "keep"), ("remove", "")):
            object.__setattr__(self, name, getattr(self, name) or without)
        for one in dataclasses.fields(self):
            value, known = getattr(self, one.name), one.metadata
            if known["choices"] and value is not None:
                one_of(one.name, value, known["choices"])
            low, high = known["within"] or (-math.inf, math.inf)
            if known["within"] and value is not None and not low <= value <= high:
                raise UsageError(f"{one.name} must be between {low} and {high}, not {value}.")
        start = self.start_s or 0.0
        if not (math.isfinite(start) and start >= 0):
            raise UsageError(f"start must be 0 seconds or more, not {self.start_s}.")
        if self.end_s is not None and not self.end_s > start:
            raise UsageError(f"end ({self.end_s} s) must come after start ({start} s).")
        if self.workers is not None and self.scheduler is not None:
            raise UsageError("A scheduler has its own workers: give either workers or scheduler.")
        self.face_positions()
        for name in values_in(self.keep):
            one_of("thing to keep", name, (*KEPT, *KEPT_PARTS))
        for name in self.removed():
            one_of("thing to remove", name, REMOVABLE)
        self.expression_share()
        self.regions()
        self._require_options_of_method()

    def _require_options_of_method(self) -> None:
        """Raises UsageError where an option is given to a method that has no use for it."""
        for name, others in NOT_FOR.items():
            if getattr(self, name) is not None and self.method in others:
                first = "s to the method onnx" if name in OF_PUBLISHED else " to a trained method"
                raise UsageError(
                    f"{name} belong{first} or to one with imported weights, not to {self.method}: "
                    f"choose such a method, or leave {name} out."
                )
        for one in dataclasses.fields(self):
            methods = ONLY_FOR.get(one.name, (self.method,))
            if getattr(self, one.name) != one.default and self.method not in methods:
                some = len(methods) > 1
                raise UsageError(
                    f"{one.name} belongs to the method{'s' if some else ''} "
                    f"{' and '.join(methods)}, not to {self.method}: choose "
                    f"{'one of them' if some else 'that method'}, or leave {one.name} out."
                )

    def face_positions(self) -> tuple[int, ...] | None:
        """Positions from the left, or None where `faces` is `largest` or `all`."""
        if self.faces in ("largest", "all"):
            return None
        try:
            positions = tuple(int(part) for part in self.faces.split(","))
        except ValueError:
            positions = (-1,)
        if min(positions) < 0:
            raise UsageError(
                f"faces must be 'largest', 'all' or positions from the left such as 0,2, "
                f"not {self.faces!r}."
            )
        return positions

    def kept(self) -> tuple[str, ...]:
        """What stays on the source's face."""
        return tuple(name for name in values_in(self.keep) if name in KEPT)

    def kept_parts(self) -> tuple[str, ...]:
        """What of the target's face stays its own."""
        return tuple(name for name in values_in(self.keep) if name in KEPT_PARTS)

    def removed(self) -> tuple[str, ...]:
        """What is taken off the target."""
        return values_in(self.remove)

    def regions(self) -> tuple[str, ...]:
        """What of the source is put in: one of WHOLE_REGIONS, or several regions by `e4s`."""
        known: tuple[str, ...] = WHOLE_REGIONS
        found: tuple[str, ...] = (self.region,)
        if self.method == "e4s":
            known, found = (*WHOLE_REGIONS, *FACE_REGIONS), values_in(self.region) or ("",)
        for name in found:
            one_of("region", name, known)
        return found

    def expression_share(self) -> float:
        """How much of the source's expression the new face has, 0..1."""
        try:
            share = float({"target": 0, "source": 1}.get(self.expression, self.expression))
        except ValueError:
            share = math.nan
        if not 0 <= share <= 1:
            raise UsageError(
                f"expression is `target`, `source` or a number from 0 to 1, not "
                f"{self.expression!r}."
            )
        return share

    def absolute(self) -> SwapOptions:
        """The same, with paths that are right from any folder."""
        given = {name: getattr(self, name) for name in _PATHS}
        known: dict[str, Any] = {
            name: str(Path(path).absolute())
            for name, path in given.items()
            if path is not None and (name, path) != ("converter", NO_CONVERTER)
        }
        processors = tuple(map(with_absolute_file, self.processors))
        return dataclasses.replace(self, processors=processors, **known)

    def to_dict(self) -> dict[str, Any]:
        """What JSON keeps of them, as it gives it back, and `from_dict` takes."""
        values = dataclasses.asdict(self)
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> SwapOptions:
        """Options from a saved JSON object. Raises UsageError on an unknown key."""
        names = [f.name for f in dataclasses.fields(cls)]
        for key in values:
            if key in RENAMED:
                raise UsageError(f"The option {key!r} is called {RENAMED[key]!r} now.")
            if key not in names:
                raise UsageError(f"Unknown option {key!r}: {nearest(key, names)}.")
        return cls(**values)

    @classmethod
    def value_of(cls, name: str, text: str) -> Any:
        """The value of an option that is given as a text, several parted by spaces. Raises
        UsageError on a number that is none; an unknown name is left to `from_dict`."""
        hint = get_type_hints(cls).get(name, str)
        if hint == tuple[str, ...]:
            return tuple(text.split())
        kind = next(iter(get_args(hint)), hint)
        if kind is bool:
            one_of(name, text, ("true", "false"))
            return text == "true"
        try:
            return kind(text)
        except ValueError as error:
            raise UsageError(f"{name} takes a number, not {text!r}.") from error

    @classmethod
    def words_on(cls, name: str) -> str:
        """What the docstring says of an option."""
        pattern = rf"^    (?:\w+, )*{name}(?:, \w+)*: (.+(?:\n        .+)*)"
        described = re.search(pattern, cls.__doc__ or "", re.MULTILINE)
        return " ".join(described[1].split()) if described else ""


class OptionKeywords(TypedDict, total=False):
    """The fields of SwapOptions as keyword arguments of a function, for type checkers."""

    method: str
    model: str | None
    weights: str | None
    interface: str | None
    encoder: str | None
    converter: str | None
    face_model: str | None
    face_type: str | None
    morph: float
    learned_mask: str
    region: str
    code_trajectory: float
    flow_trajectory: float
    direction: str
    processors: tuple[str, ...]
    faces: str
    keep: str
    expression: str
    remove: str
    shape: float
    blend: str
    color: str
    texture: str
    mask_feather: float
    mask_erode: float
    start_s: float | None
    end_s: float | None
    sequence: str | None
    layers: str | None
    masks: str | None
    compare: str | None
    stages: str | None
    watch: str | None
    codec: str
    crf: int
    preset: str
    threads: int | None
    provider: str
    overwrite: bool
    work: str | None
    restart: bool
    workers: int | None
    scheduler: str | None
