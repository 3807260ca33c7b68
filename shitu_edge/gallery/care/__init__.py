"""Care of a gallery: verify, repair, audit."""
