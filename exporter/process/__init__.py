"""The life of a running exporter, and changes to a state folder that no exporter uses."""
