"""Guided diffusion of skill trajectories: tokens, denoiser, guidance, planner."""
