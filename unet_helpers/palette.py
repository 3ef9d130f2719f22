"""Colours that colour-blind readers can distinguish.

The palette is that of Okabe and Ito (2008, https://jfly.uni-koeln.de/color).
"""

ORANGE = "#E69F00"
SKY = "#56B4E9"
GREEN = "#009E73"
YELLOW = "#F0E442"
BLUE = "#0072B2"
VERMILION = "#D55E00"
PURPLE = "#CC79A7"

# Colours of the classes of a fine-tuned network, in this order.
CLASSES = (ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILION, PURPLE)

# Colours of an answer compared with the truth.
HIT = GREEN
MISS = SKY
FALSE_ALARM = VERMILION

# Darker kinds of green, orange and vermilion, and a grey, for text on white: their contrast is
# above 4.5 to 1 (WCAG 2.2, success criterion 1.4.3).
TEXT_USUAL = "#00664A"
TEXT_LOWER = "#805400"
TEXT_DOUBTFUL = "#A33C00"
TEXT_UNKNOWN = "#555555"
