"""Images and their labels from folders and label files."""
