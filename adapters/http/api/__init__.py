"""The routes of `/api/v1`, over what `adapters/calls/contract.py` offers."""
