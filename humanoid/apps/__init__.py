"""Programs that show the package at work, one `main(cfg)` each."""
