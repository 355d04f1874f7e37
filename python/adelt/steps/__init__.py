"""What tasks do: one module for each action."""
