"""Receding-horizon planning with a diffusion model under classifier guidance."""
