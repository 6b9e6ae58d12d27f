"""From a captured skeleton to a trajectory of an embodiment."""
