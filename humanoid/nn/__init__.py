"""Network modules and the policy checkpoint: torch only, no bodies, no simulator."""
