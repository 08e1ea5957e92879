from fixtures.drill import drill

__all__ = ["drill"]
