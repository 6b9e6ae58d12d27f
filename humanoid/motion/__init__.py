"""Trajectories of one embodiment: files, a library on one device, sampling."""
