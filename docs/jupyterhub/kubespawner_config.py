"""JupyterHub on Kubernetes: the course in pods without any privilege.

In the Helm chart of Zero to JupyterHub this goes below `hub.extraConfig`.
"""

c = get_config()  # noqa: F821

c.JupyterHub.spawner_class = "kubespawner.KubeSpawner"
c.KubeSpawner.image = "REGISTRY/labkit:latest"  # what repo2docker made of this repository
c.KubeSpawner.cmd = ["jupyterhub-singleuser"]  # the image's entrypoint runs it
c.KubeSpawner.default_url = "/lab/tree/work/notebooks/00_start_here.ipynb"
c.KubeSpawner.start_timeout = 120  # seconds

c.KubeSpawner.uid = 1000
c.KubeSpawner.gid = 1000
c.KubeSpawner.allow_privilege_escalation = False
c.KubeSpawner.container_security_context = {
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
c.KubeSpawner.automount_service_account_token = False

c.KubeSpawner.cpu_limit = 1
c.KubeSpawner.cpu_guarantee = 0.2
c.KubeSpawner.mem_limit = "2G"
c.KubeSpawner.mem_guarantee = "1G"
