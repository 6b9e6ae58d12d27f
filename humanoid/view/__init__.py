"""Seeing it: video, browser, plots."""
