"""The manifests: made of what the project has generated, valid for Kubernetes, and fitting together."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from deploy.kubernetes import build, manifests
from exporter.digest.sent import FILE_NAME
from exporter.errors import UserError
from exporter.verify.prometheus import EXPORTER_JOB
from tests.support import ROOT
from tests.support.promtool import promtool


@pytest.fixture(scope="module")
def documents() -> dict[tuple[str, str], dict[str, Any]]:
    """All that is applied, by kind and name."""
    found = [document for text in build.texts().values() for document in yaml.safe_load_all(text)]
    named = [*(document for document in found if document["kind"] != "Kustomization"), *_dashboards()]
    return {(document["kind"], document["metadata"]["name"]): document for document in named}


def _dashboards() -> list[dict[str, Any]]:
    """What kustomize makes of the dashboards' folder: plain keys, as it is written here without a kustomize."""
    folder = build.OUT / build.DASHBOARDS
    written = yaml.safe_load((folder / "kustomization.yaml").read_text())
    options = written["generatorOptions"]
    assert options["disableNameSuffixHash"]
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": generated["name"], "labels": options["labels"]},
            "data": {Path(file).name: (folder / file).read_text() for file in generated["files"]},
        }
        for generated in written["configMapGenerator"]
    ]


def test_what_is_committed_is_what_would_be_built() -> None:
    assert build.stale(build.OUT, build.texts()) == []


def test_every_object_of_kubernetes_itself_fits_its_schema(documents: dict[tuple[str, str], dict[str, Any]]) -> None:
    checked = [document for document in documents.values() if "monitoring.coreos.com" not in document["apiVersion"]]
    assert len(checked) == 8
    for document in checked:
        kubernetes_validate.validate(document, "1.30", strict=True)
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
    broken = {**documents["Service", manifests.NAME], "spec": {"portz": []}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, "1.30", strict=True)


def test_labels_ports_and_volumes_lead_to_something(documents: dict[tuple[str, str], dict[str, Any]]) -> None:
    service = documents["Service", manifests.NAME]
    workload = documents["StatefulSet", manifests.NAME]["spec"]
    monitor = documents["ServiceMonitor", manifests.NAME]["spec"]
    pod = workload["template"]
    (container,) = pod["spec"]["containers"]
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert workload["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (endpoint,) = monitor["endpoints"]
    assert endpoint["relabelings"] == [{"sourceLabels": ["__meta_kubernetes_pod_name"], "targetLabel": "instance"}]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    (port,) = service["spec"]["ports"]
    assert port["targetPort"] in {port["name"] for port in container["ports"]}
    volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
    claims = {claim["metadata"]["name"] for claim in workload["volumeClaimTemplates"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes | claims
    (config,) = [volume["configMap"]["name"] for volume in pod["spec"]["volumes"] if "configMap" in volume]
    assert ("ConfigMap", config) in documents


def test_the_digest_runs_once_beside_the_exporter_with_a_secret_of_its_own(
    documents: dict[tuple[str, str], dict[str, Any]],
) -> None:
    deployment = documents["Deployment", manifests.DIGEST]["spec"]
    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})
    pod = deployment["template"]
    assert deployment["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    # the exporter's Service must not lead to it
    assert not documents["Service", manifests.NAME]["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    (container,) = pod["spec"]["containers"]
    assert container["image"].startswith(f"{manifests.DIGEST}:")
    state = next(mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] == "state")
    assert f" {state}/state/{FILE_NAME} " in str(container["livenessProbe"])
    assert f"--sent-file={state}/state/{FILE_NAME}" in container["args"]
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes.keys()
    assert volumes["secrets"]["secret"]["secretName"] == manifests.DIGEST
    assert ("PersistentVolumeClaim", volumes["state"]["persistentVolumeClaim"]["claimName"]) in documents
    assert ("ConfigMap", volumes["config"]["configMap"]["name"]) in documents
    assert {each["name"] for each in container["env"]} == {"DATABASE_URL_FILE", "DISCORD_WEBHOOK_URL_FILE"}
    assert (
        pod["spec"]["securityContext"]
        == (documents["StatefulSet", manifests.NAME]["spec"]["template"]["spec"]["securityContext"])
    )


def test_the_rules_find_the_exporter_under_the_job_they_name(documents: dict[tuple[str, str], dict[str, Any]]) -> None:
    # the operator's label `job` is the service's name where no jobLabel is set
    assert documents["Service", EXPORTER_JOB]
    assert "jobLabel" not in documents["ServiceMonitor", manifests.NAME]["spec"]


def test_the_user_and_the_state_are_those_of_the_image(documents: dict[tuple[str, str], dict[str, Any]]) -> None:
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()
    assert f"USER {manifests.UID}:{manifests.UID}\n" in dockerfile
    pod = documents["StatefulSet", manifests.NAME]["spec"]["template"]["spec"]
    state = next(mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"] if mount["name"] == "state")
    assert f"VOLUME {state}\n" in dockerfile
    assert pod["securityContext"]["fsGroup"] == manifests.UID
    assert documents["StatefulSet", manifests.NAME]["spec"]["replicas"] == 1


def test_the_rules_are_those_that_were_compiled(documents: dict[tuple[str, str], dict[str, Any]]) -> None:
    rules = documents["PrometheusRule", manifests.NAME]["spec"]
    assert rules == yaml.safe_load((ROOT / "alert_rules" / "generated" / "rules.yml").read_text())
    code, said = promtool().run("check", "rules", given=yaml.safe_dump(rules))
    assert code == 0, said


def test_the_dashboards_are_those_that_were_built_and_fit_into_a_config_map(
    documents: dict[tuple[str, str], dict[str, Any]],
) -> None:
    files = sorted((ROOT / "dashboards" / "generated").glob("*.json"))
    assert files
    for file in files:
        document = documents["ConfigMap", f"{manifests.NAME}-{file.stem}"]
        assert document["data"] == {file.name: file.read_text()}
        assert document["metadata"]["labels"] == {"app.kubernetes.io/name": manifests.NAME, "grafana_dashboard": "1"}
        assert len(file.read_bytes()) < 1 << 20


def test_kustomize_applies_every_file() -> None:
    files = build.texts()
    (kustomization,) = yaml.safe_load_all(files["kustomization.yaml"])
    # the digest needs a webhook: who wants it applies it
    assert set(kustomization["resources"]) - {build.DASHBOARDS} == set(files) - {"kustomization.yaml", build.DIGEST}
    assert build.DASHBOARDS in kustomization["resources"]


@pytest.mark.skipif(not shutil.which("kubectl"), reason="no kubectl, whose kustomize would make the objects")
def test_kustomize_makes_what_is_checked_here(documents: dict[tuple[str, str], dict[str, Any]], tmp_path: Path) -> None:
    # from an overlay elsewhere, as the documentation has it: kustomize refuses files outside of a base's folder
    overlay = tmp_path / "kustomization.yaml"
    overlay.write_text(f"resources: [{os.path.relpath(build.OUT, tmp_path.resolve())}]\n")
    done = subprocess.run(["kubectl", "kustomize", tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    made = {(d["kind"], d["metadata"]["name"]): d for d in yaml.safe_load_all(done.stdout)}
    assert made == {key: document for key, document in documents.items() if key[1] != manifests.DIGEST}


@pytest.mark.parametrize("missing", ["alert_rules/generated/rules.yml", "deploy/exporter.yaml"])
def test_a_missing_source_is_named(missing: str, tmp_path: Path) -> None:
    for name in ("alert_rules/generated", "deploy/prometheus"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("pyproject.toml", "deploy/exporter.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    build.texts(tmp_path)
    path = tmp_path / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(UserError, match=f"{missing}.*run make build"):
        build.texts(tmp_path)


def test_files_that_are_old_or_too_many_are_found_and_fixed(tmp_path: Path) -> None:
    wanted = {"a.yaml": "a: 1\n", "b.yaml": "b: 1\n"}
    build.write(tmp_path, wanted)
    assert build.stale(tmp_path, wanted) == []
    (tmp_path / "a.yaml").write_text("a: 2\n")
    (tmp_path / "c.yaml").write_text("c: 1\n")
    assert build.stale(tmp_path, wanted) == ["a.yaml", "c.yaml"]
    build.write(tmp_path, wanted)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == wanted
