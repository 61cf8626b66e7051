"""What runs in a cluster, as plain data: pure functions of what the project has generated."""

from collections.abc import Mapping
from typing import Any

NAME = "ai-operation-exporter"
"""Of all that belongs to the exporter. The Service's name becomes the label `job` that the rules rely on."""

SECRET_KEY = "database_url"  # noqa: S105 - a key's name
PORT, PORT_NAME = 9867, "http"
UID = 10001
"""The user of deploy/Dockerfile."""

_LABELS = {"app.kubernetes.io/name": NAME}
_SECRETS, _CONFIG, _STATE = f"/run/secrets/{NAME}", f"/etc/{NAME}", f"/var/lib/{NAME}"

Manifest = dict[str, Any]


def _meta(name: str) -> Manifest:
    return {"name": name, "labels": dict(_LABELS)}


def config_map(config: str) -> Manifest:
    """The exporter's configuration (YAML)."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _meta(NAME), "data": {"config.yaml": config}}


def service() -> Manifest:
    """Where Prometheus finds the exporter: also while it catches up, and says so in its metrics."""
    spec = {
        "clusterIP": "None",
        "publishNotReadyAddresses": True,
        "selector": _LABELS,
        "ports": [{"name": PORT_NAME, "port": PORT, "targetPort": PORT_NAME}],
    }
    return {"apiVersion": "v1", "kind": "Service", "metadata": _meta(NAME), "spec": spec}


def stateful_set(image: str) -> Manifest:
    """One exporter with a volume for what it has counted. Two would each count all, and must not share a volume."""
    pod = {
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": UID,
            "runAsGroup": UID,
            "fsGroup": UID,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationGracePeriodSeconds": 10,
        "containers": [_container(image)],
        "volumes": [
            {"name": "config", "configMap": {"name": NAME}},
            {"name": "secrets", "secret": {"secretName": NAME, "defaultMode": 0o440}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "16Mi"}},
        ],
    }
    claim = {
        "metadata": {"name": "state"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    spec = {
        "replicas": 1,
        "serviceName": NAME,
        "selector": {"matchLabels": _LABELS},
        "template": {"metadata": {"labels": _LABELS}, "spec": pod},
        "volumeClaimTemplates": [claim],
    }
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": _meta(NAME), "spec": spec}


def _container(image: str) -> Manifest:
    probe = {"httpGet": {"path": "/-/healthy", "port": PORT_NAME}, "timeoutSeconds": 3}
    return {
        "name": NAME,
        "image": image,
        "args": [
            "serve",
            f"--config={_CONFIG}/config.yaml",
            f"--state-dir={_STATE}/state",
            f"--web.listen-address=:{PORT}",
        ],
        "env": [{"name": "DATABASE_URL_FILE", "value": f"{_SECRETS}/{SECRET_KEY}"}],
        "ports": [{"name": PORT_NAME, "containerPort": PORT}],
        "startupProbe": {**probe, "periodSeconds": 2, "failureThreshold": 30},
        "livenessProbe": {**probe, "periodSeconds": 10},
        "readinessProbe": {**probe, "periodSeconds": 10},
        "resources": {"requests": {"cpu": "50m", "memory": "96Mi"}, "limits": {"memory": "512Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "config", "mountPath": _CONFIG, "readOnly": True},
            {"name": "secrets", "mountPath": _SECRETS, "readOnly": True},
            {"name": "state", "mountPath": _STATE},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the pod's own
        ],
    }


def service_monitor(interval: str, timeout: str) -> Manifest:
    """How Prometheus scrapes it, for the Prometheus Operator.

    The instance is the pod's name, which a StatefulSet keeps: with the address, each restart would be a new replica.
    """
    endpoint = {
        "port": PORT_NAME,
        "path": "/metrics",
        "interval": interval,
        "scrapeTimeout": timeout,
        "relabelings": [{"sourceLabels": ["__meta_kubernetes_pod_name"], "targetLabel": "instance"}],
    }
    spec = {"selector": {"matchLabels": _LABELS}, "endpoints": [endpoint]}
    return {"apiVersion": _OPERATOR, "kind": "ServiceMonitor", "metadata": _meta(NAME), "spec": spec}


def prometheus_rule(rules: Mapping[str, Any]) -> Manifest:
    """The compiled rules, for the Prometheus Operator."""
    return {"apiVersion": _OPERATOR, "kind": "PrometheusRule", "metadata": _meta(NAME), "spec": dict(rules)}


_OPERATOR = "monitoring.coreos.com/v1"


def kustomization(resources: list[str]) -> Manifest:
    """What `kubectl apply -k` applies: files, and folders with a kustomization of their own."""
    return {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": resources}
