"""Decoding with OpenCV and without; resizing by our own products, by OpenCV, bare too, and in OpenVINO's graph.

    python -m benchmarks.resample

OpenCV is called as the runtime does where it is installed. Graph resizing is what a network with a resizing front costs
beyond the same network without one.
"""

from __future__ import annotations

from io import BytesIO

import cv2
import numpy as np
import openvino as ov
from openvino.preprocess import PrePostProcessor, ResizeAlgorithm
from PIL import Image

from benchmarks.measure import describe_machine, interleave, print_times
from shitu_edge.bench.images import load_images
from shitu_edge.imaging.resample import Kernel, resize
from shitu_edge.stages.decode import DecodedImage, decode

PHOTO = 1920, 1080
CASES: tuple[tuple[int, int, int, Kernel], ...] = (
    (1080, 1920, 640, "cubic"),
    (720, 1280, 640, "cubic"),
    (1080, 1920, 224, "bilinear"),
    (400, 300, 224, "bilinear"),
)


def main() -> None:
    print(describe_machine())
    images = load_images(None, PHOTO)
    print(f"\n{len(images)} JPEGs of {PHOTO[0]} × {PHOTO[1]} decoded")
    print_times(
        interleave(
            {
                "Pillow": lambda: [_by_pillow(image) for image in images],
                "OpenCV after the header": lambda: [decode(image) for image in images],
            },
            rounds=20,
        )
    )
    for height, width, side, kernel in CASES:
        pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        flag = cv2.INTER_CUBIC if kernel == "cubic" else cv2.INTER_LINEAR
        graph = _graph(side, kernel)
        print(f"\n{width} × {height} → {side} × {side}, {kernel}")
        times = interleave(
            {
                "our own": lambda: resize(pixels, side, side, kernel, use_opencv=False),  # noqa: B023
                "OpenCV, to planes": lambda: resize(pixels, side, side, kernel),  # noqa: B023
                "OpenVINO graph": lambda: graph.infer({0: pixels[None]}),  # noqa: B023
                "OpenCV, to HWC bytes": lambda: cv2.resize(pixels, (side, side), interpolation=flag),  # noqa: B023
            },
            rounds=40,
        )
        print_times(times)


def _by_pillow(content: bytes) -> DecodedImage:
    with Image.open(BytesIO(content)) as image:
        return decode(image)


def _graph(side: int, kernel: Kernel) -> ov.InferRequest:
    """Return a graph that does nothing but resize."""
    parameter = ov.opset13.parameter([1, 3, side, side], ov.Type.f32)
    model = ov.Model([ov.opset13.relu(parameter)], [parameter])
    builder = PrePostProcessor(model)
    builder.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC")).set_spatial_dynamic_shape()
    builder.input().model().set_layout(ov.Layout("NCHW"))
    algorithm = ResizeAlgorithm.RESIZE_CUBIC if kernel == "cubic" else ResizeAlgorithm.RESIZE_LINEAR
    builder.input().preprocess().convert_element_type(ov.Type.f32).resize(algorithm)
    return ov.compile_model(builder.build(), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}).create_infer_request()


if __name__ == "__main__":
    main()
