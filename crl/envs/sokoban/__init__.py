"""Sokoban: push every box onto a target. Own rules, generator and solver; nothing to install."""
