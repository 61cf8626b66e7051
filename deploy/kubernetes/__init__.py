"""Manifests for Kubernetes, generated from the same sources as everything else."""
