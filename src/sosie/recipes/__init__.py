"""How the networks are made: the table of recipes. To add one, write it and its line here."""

from __future__ import annotations

from contextlib import AbstractContextManager
from importlib import import_module
from typing import TYPE_CHECKING, cast

from sosie.errors import UsageError, nearest, needs_extra

if TYPE_CHECKING:
    from sosie.training.recipe import Recipe

TABLE = {
    "detector": "sosie.recipes.detector.recipe:DetectorRecipe",
    "landmarks": "sosie.recipes.landmarks.recipe:LandmarkRecipe",
    "identity": "sosie.recipes.identity.recipe:IdentityRecipe",
    "parser": "sosie.recipes.parser.recipe:ParserRecipe",
    "swap": "sosie.methods.graft.recipe:SwapRecipe",
    "expression": "sosie.reenactment.expression.recipe:ExpressionRecipe",
    "simswap": "sosie.methods.simswap.recipe:SimSwapRecipe",
    "faceshifter": "sosie.methods.faceshifter.recipe:FaceShifterRecipe",
    "faceshifter_hear": "sosie.methods.faceshifter.recipe:HearRecipe",
    "ghost": "sosie.methods.ghost.recipe:GhostRecipe",
    "hififace": "sosie.methods.hififace.recipe:HifiFaceRecipe",
    "infoswap": "sosie.methods.infoswap.recipe:InfoSwapRecipe",
    "blendface": "sosie.methods.blendswap.encoder_recipe:BlendFaceRecipe",
    "blendswap": "sosie.methods.blendswap.recipe:BlendSwapRecipe",
    "facedancer": "sosie.methods.facedancer.recipe:FaceDancerRecipe",
    "rsgan": "sosie.methods.rsgan.recipe:RsganRecipe",
    "deepfacelab": "sosie.methods.deepfacelab.recipe:DeepFaceLabRecipe",
    "deepfakes": "sosie.methods.deepfakes.recipe:DeepFakesRecipe",
    "vae": "sosie.methods.vae.recipe:VaeRecipe",
    "korshunova": "sosie.methods.korshunova.recipe:KorshunovaRecipe",
    "fsgan_reenactment": "sosie.methods.fsgan.reenactment_recipe:ReenactmentRecipe",
    "fsgan_segmentation": "sosie.methods.fsgan.segmentation_recipe:SegmentationRecipe",
    "fsgan_inpainting": "sosie.methods.fsgan.later_recipe:InpaintingRecipe",
    "fsgan_blending": "sosie.methods.fsgan.later_recipe:BlendingRecipe",
    "stylegan2": "sosie.recipes.stylegan2.recipe:StyleGanRecipe",
    "megafs_encoder": "sosie.methods.megafs.recipe:EncoderRecipe",
    "megafs_transfer": "sosie.methods.megafs.transfer_recipe:TransferRecipe",
    "fslsd_inverter": "sosie.methods.fslsd.inverter_recipe:FslsdInverterRecipe",
    "fslsd": "sosie.methods.fslsd.recipe:FslsdSwapRecipe",
    "e4s": "sosie.methods.e4s.recipe:E4sRecipe",
    "dcgan": "sosie.methods.vae.gan_recipe:GanRecipe",
}
"""Name of a network -> its recipe. The names are those of the weight files, or of methods."""

NEED_TEACHERS = (
    "detector",
    "landmarks",
    "identity",
    "parser",
    "swap",
    "expression",
    "faceshifter_hear",
    "korshunova",
    "blendswap",
    "fsgan_inpainting",
    "fsgan_blending",
    "megafs_encoder",
    "megafs_transfer",
    "fslsd_inverter",
    "fslsd",
    "e4s",
)
"""Those that learn from teachers (FaceShifter's second stage from its first, BlendSwap from its
encoder, FSGAN's last two from its first two, those of MegaFS, FSLSD and E4S from the generator);
the others need pictures alone."""

_EXTRA = ("torch", "safetensors", "onnx", "mediapipe", "ai_edge_litert", "lightning_fabric")
"""The packages that the extra `train` installs."""


def load_recipe(name: str) -> type[Recipe]:
    """The recipe of the network `name`, a class. Only its module is imported, and with it torch.

    Raises UsageError on a name that is not in TABLE, and UnavailableError where a package of the
    extra `train` is not installed.
    """
    if name not in TABLE:
        raise UsageError(f"Unknown network {name!r}: {nearest(name, TABLE)}.")
    module, attribute = TABLE[name].split(":")
    with extra_packages():
        return cast("type[Recipe]", getattr(import_module(module), attribute))


def extra_packages() -> AbstractContextManager[None]:
    """Raises UnavailableError where what is done within lacks a package of the extra `train`."""
    return needs_extra("train", _EXTRA)
