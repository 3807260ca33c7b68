"""From PyTorch to Paddle: trained weights in PaddleClas' and PaddleDetection's own networks, saved for inference.

Two environments, with files between them: `weights` needs PyTorch and no Paddle, everything else the other way round.
"""

import os

# Before Paddle is imported: inference models are `.pdmodel`, which both routes of conversion read.
os.environ.update(FLAGS_enable_pir_api="0")
