"""PNG, JPEG, BMP, GIF and WebP: pictures of everyday programs, with Pillow."""

import warnings
from pathlib import Path

import numpy as np

from ..errors import ImageError
from .image import MedicalImage, colour_alone, index_of, refuse_if_huge


def read_raster(
    path: Path, page: int | None = None, frame: int | None = None, channel=None
) -> MedicalImage:
    """PNG, JPEG, BMP, GIF, WebP with Pillow; 16-bit PNG with OpenCV, since Pillow would cut colours to 8 bit."""
    import cv2
    from PIL import Image, ImageOps

    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", Image.DecompressionBombWarning
        )  # there is a limit of our own
        try:
            opened = Image.open(path)
        except Image.DecompressionBombError as error:
            raise ImageError(f"{path}: {error} Cut or shrink it first.") from error
        with opened as picture:
            refuse_if_huge(path, (*picture.size, len(picture.getbands())))
            frames, notes = getattr(picture, "n_frames", 1), []
            picture.seek(index := index_of(path, "frame", page if frame is None else frame, frames))
            if frames > 1:
                notes.append(f"took frame {index} of {frames}; choose another one with frame=")
            picture.load()
            with path.open("rb") as file:
                start = file.read(
                    26
                )  # of a PNG the bits a channel, and whether it is grey, are bytes 24 and 25
            depth, grey = (
                (start[24], start[25] in (0, 4)) if start[:4] == b"\x89PNG" else (0, False)
            )
            if depth == 16:
                pixels: np.ndarray = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
                if pixels.ndim == 3:  # BGR or BGRA
                    pixels = pixels[..., [2, 1, 0, 3][: pixels.shape[-1]]]
            else:
                if depth in (2, 4) and grey:
                    notes.append(f"greys of {depth} bit spread over 0 to 255")
                if picture.getexif().get(0x0112, 1) != 1:
                    notes.append("turned as the camera's EXIF orientation says")
                    picture = ImageOps.exif_transpose(picture)
                palette = (
                    picture.mode in ("P", "PA") or picture.format == "GIF"
                )  # later frames of a GIF come as RGB
                if palette:
                    clear = "transparency" in picture.info or picture.mode == "PA"
                    picture = picture.convert("RGBA" if clear else "RGB")
                    notes.append("expanded the colour palette")
                elif (
                    picture.mode not in ("1", "L", "LA", "RGB", "RGBA", "I", "F")
                    and picture.mode[:4] != "I;16"
                ):
                    notes.append(f"converted from {picture.mode} to RGB")
                    picture = picture.convert("RGB")
                pixels = np.array(picture)
                grey = palette and (pixels[..., :1] == pixels[..., :3]).all()
    if grey and pixels.ndim == 3:  # three equal colours, perhaps alpha
        pixels = pixels[..., 0] if pixels.shape[-1] == 3 else pixels[..., [0, 3]]
    image = MedicalImage(
        np.ascontiguousarray(pixels), "YXC"[: pixels.ndim], path=path, notes=tuple(notes)
    )
    return image if channel is None else colour_alone(image, channel)
