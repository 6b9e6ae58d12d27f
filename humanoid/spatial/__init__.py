"""Rotations, frames and signals: batched torch, no bodies."""
