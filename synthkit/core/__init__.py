"""The small vocabulary all layers share; imports nothing else of synthkit."""
