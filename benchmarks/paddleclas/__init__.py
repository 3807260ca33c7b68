"""The peer: PaddleClas 2.6.0 on the same networks; see README.md."""
