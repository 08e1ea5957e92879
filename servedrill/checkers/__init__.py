"""Checkers: pure functions of a history that say pass, fail or inconclusive, and on what evidence."""
