"""From compiled alerts to the generated files."""
