"""The training of StyleGAN2, whose generator several swappers are built around."""
