"""Attempts at the exercises of chapter 04, and what their checks must say."""
