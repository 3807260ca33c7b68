"""The networks in PyTorch, parameter for parameter those of PaddleClas and PaddleDetection."""
