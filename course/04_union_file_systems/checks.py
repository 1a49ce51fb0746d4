"""How the exercises of chapter 04 are judged."""
