"""Transfer of galleries: patches, exported folders, imports."""
