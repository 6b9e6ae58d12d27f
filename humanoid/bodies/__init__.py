"""Embodiments: what the project knows about a body, read off its MJCF."""
