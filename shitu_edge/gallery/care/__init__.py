"""Whether a gallery is sound and good: verify, repair, audit."""
