"""The course's colours: Okabe and Ito's palette, which the colour-blind can tell apart.

Never by colour alone: a letter, a mark or a word says the same. https://jfly.uni-koeln.de/color/
"""

from __future__ import annotations

ORANGE, SKY, GREEN, YELLOW = "#e69f00", "#56b4e9", "#009e73", "#f0e442"
BLUE, VERMILLION, PURPLE = "#0072b2", "#d55e00", "#cc79a7"
BLACK, WHITE = "#000000", "#ffffff"
# Words; words of less weight; lines that join; areas without a colour, and the lines between.
INK, FAINT, JOINT, GREY, RULE = "#222222", "#666666", "#888888", "#dddddd", "#cccccc"

# For areas: grey first, for what is everybody's.
AREAS = (GREY, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILLION, PURPLE)
# For thin lines on white: the dark ones first.
LINES = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)

PASSED, FAILED, UNDECIDED = GREEN, VERMILLION, FAINT
