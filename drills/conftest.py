from servedrill.fixtures.drill import drill

__all__ = ["drill"]
