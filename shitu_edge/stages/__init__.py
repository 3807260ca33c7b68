"""The way of an image: one file per stage, arrays in, arrays or a frozen result out."""
