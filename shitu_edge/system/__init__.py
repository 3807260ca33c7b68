"""Everything that knows the operating system."""
