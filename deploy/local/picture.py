"""A picture to try things with: a colour wheel, drawn here so that no file has to be shipped."""

import colorsys
import math
import sys

from PIL import Image

SIZE = 256


def colour_wheel() -> Image.Image:
    """All hues around a centre, paler towards it."""
    picture = Image.new("RGB", (SIZE, SIZE), (24, 24, 28))
    half = SIZE / 2
    for x in range(SIZE):
        for y in range(SIZE):
            distance = math.hypot(x - half, y - half) / half
            if distance <= 1:
                hue = math.atan2(y - half, x - half) / math.tau % 1
                red, green, blue = colorsys.hsv_to_rgb(hue, distance, 1)
                picture.putpixel((x, y), (round(red * 255), round(green * 255), round(blue * 255)))
    return picture


if __name__ == "__main__":
    colour_wheel().save(sys.argv[1])
