"""Seeing it: video and plots."""
