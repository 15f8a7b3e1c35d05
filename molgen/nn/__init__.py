"""Equivariant backbones. They know tensors and masks only: neither diffusion nor chemistry."""
