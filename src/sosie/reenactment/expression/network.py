"""The expression network: a U-Net (Ronneberger et al. 2015) that is told by FiLM (Perez et al.
2018) what the face's expression is and what it is to be.

It answers at a quarter of the square's side how the face's pixels move, and begins by moving none.
A detail that it could add as well was tried: it fooled the landmark network that it learned by,
with colored lids, and no other.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from sosie.analysis.landmarker import EXPRESSIONS
from sosie.nn.unet import ReluUNet
from sosie.reenactment.expression.view import CHANNELS, FLOW_PX

# Channels at a half, a quarter, an eighth, a sixteenth and a thirty-second of the square's side.
_CHANNELS = (24, 40, 64, 96, 128)
_TOLD = 96


class ExpressionNetwork(ReluUNet):
    """What is shown (uint8, N x H x W x CHANNELS, sides multiples of 32), the expression that the
    face has and the one that it is to have (N x 52 each) -> flow, N x 2 x H/4 x W/4, in pixels; see
    `view.answered`.

    channels: at a half, a quarter, an eighth, ... of the side.
    """

    def __init__(self, channels: tuple[int, ...] = _CHANNELS) -> None:
        super().__init__(len(CHANNELS), channels, fine=False)
        quarter, bottom = channels[1], channels[-1]
        self.told = nn.Sequential(
            nn.Linear(2 * len(EXPRESSIONS), _TOLD), nn.ReLU(), nn.Linear(_TOLD, 2 * bottom)
        )
        self.flow = nn.Conv2d(quarter, 2, 3, padding=1)
        nn.init.zeros_(self.flow.weight)
        nn.init.zeros_(self.flow.bias)  # type: ignore[arg-type]

    def forward(self, shown: torch.Tensor, has: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        gain, offset = self.told(torch.cat([has, wanted - has], 1))[..., None, None].chunk(2, 1)

        def told(bottom: torch.Tensor) -> torch.Tensor:
            return functional.relu(bottom * (1 + gain) + offset)

        x, _ = self.to_quarter(shown.permute(0, 3, 1, 2).float() / 127.5 - 1, told)
        return FLOW_PX * torch.tanh(self.flow(x))


class ExportedExpression(nn.Module):
    """As the run time has it: shown, has and wanted -> flow, N x H/4 x W/4 x 2, float32."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, shown: torch.Tensor, has: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        flow: torch.Tensor = self.network(shown, has, wanted)
        return flow.permute(0, 2, 3, 1)


def applied(shown: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """The answer applied to the picture that was shown, within the face: N x 3 x H x W, 0..1; as
    `view.answered` does it."""
    given = shown.permute(0, 3, 1, 2).float() / 255
    picture, mask = given[:, :3], given[:, 3:4]
    height, width = picture.shape[2:]
    wide = functional.interpolate(flow.float(), picture.shape[2:], mode="bilinear") * mask
    y, x = torch.meshgrid(
        torch.arange(height, device=wide.device, dtype=torch.float32),
        torch.arange(width, device=wide.device, dtype=torch.float32),
        indexing="ij",
    )
    across = (2 * (x + wide[:, 0]) + 1) / width - 1
    down = (2 * (y + wide[:, 1]) + 1) / height - 1
    grid = torch.stack([across, down], -1)
    return functional.grid_sample(picture, grid, "bilinear", "border", align_corners=False)
