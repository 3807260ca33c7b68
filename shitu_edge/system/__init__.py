"""Code that depends on the operating system."""
