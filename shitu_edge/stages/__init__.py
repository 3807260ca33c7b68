"""The stages of a recognition: one file each, arrays in, arrays or a frozen result out."""
