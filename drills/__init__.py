"""The shipped drills: `pytest drills` in a checkout, `pytest --pyargs servedrill.drills` where it is installed."""
