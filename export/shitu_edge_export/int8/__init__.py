"""INT8 for an OpenVINO network after training, steered by measured loss: no layer names, no network types.

Every convolution and matrix product with constant weights and enough arithmetic is a *layer* (`layers.py`). What it
reads gets a `FakeQuantize` whose range is per channel and lands on one common scale: the channels' scales move into the
weights (`ranges.py`), so that the integer kernel sees one scale and no node is added (`rewrite.py`). Weights get 7 to 8
bits, as many as `vpmaddubsw` can add up without saturating, since kiosks without VNNI use it. Then the
sensitivity of each layer is measured alone. The most sensitive ones for the work they save stay in float32 until the
gate holds (`search.py`).

Measured on trained PicoDets, NNCF's post-training quantization finds 40 to 55 % of the boxes again and this 94 to 97 %;
see `export/README.md`.
"""

from .rewrite import Plan
from .search import Found, make_plan, measure_sensitivity, search

__all__ = ["Found", "Plan", "make_plan", "measure_sensitivity", "search"]
