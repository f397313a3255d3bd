"""The streaming executor: levels, trees, quotas, reuse, and one asyncio loop."""
