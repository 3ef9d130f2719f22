"""Colours that colour-blind readers can tell apart: the palette of Okabe and Ito (2008, jfly.uni-koeln.de/color)."""

ORANGE, SKY, GREEN, YELLOW = "#E69F00", "#56B4E9", "#009E73", "#F0E442"
BLUE, VERMILION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"
CLASSES = (
    ORANGE,
    SKY,
    GREEN,
    YELLOW,
    BLUE,
    VERMILION,
    PURPLE,
)  # of structures without colours of their own
HIT, MISS, FALSE_ALARM = GREEN, SKY, VERMILION
