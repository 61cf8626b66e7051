"""What runs in a cluster, as plain data: pure functions of what the project has generated."""

from collections.abc import Mapping
from typing import Any

NAME = "ai-operation-exporter"
"""Of all that belongs to the exporter. The Service's name becomes the label `job` that the rules rely on."""

SECRET_KEY = "database_url"  # noqa: S105 - a key's name
PORT, PORT_NAME = 9867, "http"
UID = 10001
"""The user of deploy/Dockerfile."""

DIGEST = "ai-operation-digest"
"""Of all that belongs to the daily digest, whose Secret also has the webhook's URL."""

WEBHOOK_KEY = "discord_webhook_url"

_LABELS = {"app.kubernetes.io/name": NAME}
_SECRETS, _CONFIG, _STATE = f"/run/secrets/{NAME}", f"/etc/{NAME}", f"/var/lib/{NAME}"

Manifest = dict[str, Any]


def _meta(name: str) -> Manifest:
    return {"name": name, "labels": {"app.kubernetes.io/name": DIGEST if name == DIGEST else NAME}}


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
    pod = _pod(_container(image), [_secrets(NAME), _tmp()])
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


def _pod(container: Manifest, volumes: list[Manifest]) -> Manifest:
    """A pod of one container with the configuration, which nobody in the cluster need trust."""
    return {
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
        "containers": [container],
        "volumes": [{"name": "config", "configMap": {"name": NAME}}, *volumes],
    }


def _secrets(name: str) -> Manifest:
    return {"name": "secrets", "secret": {"secretName": name, "defaultMode": 0o440}}


def _tmp() -> Manifest:
    return {"name": "tmp", "emptyDir": {"sizeLimit": "16Mi"}}


_CONFINED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}

_MOUNTS = (
    {"name": "config", "mountPath": _CONFIG, "readOnly": True},
    {"name": "secrets", "mountPath": _SECRETS, "readOnly": True},
    {"name": "state", "mountPath": _STATE},
    {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the pod's own
)


_DIGEST_FILE = f"{_STATE}/state/digest.json"


def digest_claim() -> Manifest:
    """Where the last day that was sent is remembered."""
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "16Mi"}}}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": _meta(DIGEST), "spec": spec}


def digest(image: str, prometheus: str) -> Manifest:
    """One message a day. Two pods would send two: the old one ends before the new one begins."""
    container = {
        "name": DIGEST,
        "image": image,
        "args": [
            "digest",
            f"--config={_CONFIG}/config.yaml",
            f"--sent-file={_DIGEST_FILE}",
            "--daily=06:00",
            f"--prometheus={prometheus}",
        ],
        "env": [
            {"name": "DATABASE_URL_FILE", "value": f"{_SECRETS}/{SECRET_KEY}"},
            {"name": "DISCORD_WEBHOOK_URL_FILE", "value": f"{_SECRETS}/{WEBHOOK_KEY}"},
        ],
        # every half minute it leaves on the file that it is at work; reading and sending may take some minutes
        "livenessProbe": {
            "exec": {"command": ["sh", "-c", f'test -n "$(find {_DIGEST_FILE} -mmin -20)"']},
            "initialDelaySeconds": 60,
            "periodSeconds": 60,
            "timeoutSeconds": 5,
        },
        "resources": {"requests": {"cpu": "10m", "memory": "96Mi"}, "limits": {"memory": "512Mi"}},
        "securityContext": _CONFINED,
        "volumeMounts": list(_MOUNTS),
    }
    state = {"name": "state", "persistentVolumeClaim": {"claimName": DIGEST}}
    labels = {"app.kubernetes.io/name": DIGEST}
    spec = {
        "replicas": 1,
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": _pod(container, [_secrets(DIGEST), _tmp(), state])},
    }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": _meta(DIGEST), "spec": spec}


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
        "securityContext": _CONFINED,
        "volumeMounts": list(_MOUNTS),
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
