"""`verify`: whether the running parts do what they are for, from the table to the message."""

from exporter.verify.built import Built, no_files, not_built
from exporter.verify.places import Places, places_from
from exporter.verify.run import run_verify

__all__ = ["Built", "Places", "no_files", "not_built", "places_from", "run_verify"]
