"""Motion sets: manifests, downloads, and the reader of any source."""
