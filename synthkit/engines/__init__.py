"""Engines: vLLM in this process, and servers that speak the OpenAI protocol.

Configurations are light and are read at plan time; the engines behind them import what they need when they start.
"""
