"""Bugs that real stacks had, each as one policy replaced: what the drills are shown to catch.

Use one with ``pytest drills --drill-defect servedrill.refstack.defects.gateway:RetriesWithoutBackoff``. Each class says
which incident it follows (its docstring) and which drill has to turn red (``caught_by``).
"""
