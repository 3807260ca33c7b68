"""The detector: photos with boxes, assignment, losses, the training loop and its evaluation."""
