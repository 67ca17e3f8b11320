"""What becomes of an image that arrives: nothing, or a smaller JPEG."""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image, ImageOps

QUALITY = 90
MOST_PIXELS = 400_000_000
"""Of one image; more is no photograph."""
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
"""Nothing else is opened: of some formats Pillow starts other programs."""

DAMAGED = (OSError, ValueError, SyntaxError, ArithmeticError, MemoryError, Image.DecompressionBombError)
"""What Pillow raises for what is no whole picture."""


class Unreadable(Exception):
    """This image cannot be made smaller; the text says why in a few words."""


@dataclass(frozen=True)
class Form:
    """`size`: the longest side in pixels, 0 = any; `quality`: of JPEG, 0 = as it is, if it is no larger."""

    size: int = 0
    quality: int = 0

    @property
    def asked(self) -> bool:
        """Whether anything is to be done to images."""
        return bool(self.size or self.quality)


def shaped(content: bytes, form: Form) -> bytes:
    """Return an image as it is kept. Raises Unreadable.

    An image no larger than wished stays as it is, unless a quality is wished that makes its file smaller.
    """
    if not form.asked:
        return content
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise Unreadable(f"{image.width} x {image.height} pixels")
            fits = not form.size or max(image.size) <= form.size
            if fits and not form.quality:
                return content
            if not fits:
                image.draft("RGB", (form.size, form.size))
            upright = ImageOps.exif_transpose(image)
            upright = upright if upright.mode in ("L", "RGB") else upright.convert("RGB")
            if not fits:
                upright.thumbnail((form.size, form.size), Image.Resampling.LANCZOS, reducing_gap=3.0)
            buffer = io.BytesIO()
            upright.save(buffer, "JPEG", quality=form.quality or QUALITY)
    except DAMAGED as error:
        raise Unreadable(f"it cannot be read ({' '.join(str(error).split())[:100]})") from error
    made = buffer.getvalue()
    return content if fits and len(made) >= len(content) else made
