"""Tasks: which commands an environment gets and what counts as success."""
