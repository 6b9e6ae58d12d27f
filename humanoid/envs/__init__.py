"""Batched environments around a simulator: observations, rewards, resets."""
