"""StyleGAN2 (Karras et al. 2020): its generator, its discriminator and what both learn by."""
