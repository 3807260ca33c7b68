"""Which images there are, and under which labels: folders and label files."""
