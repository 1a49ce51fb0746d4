"""JupyterHub on one machine with Docker: the course in containers without any privilege."""

c = get_config()  # noqa: F821

c.JupyterHub.spawner_class = "dockerspawner.DockerSpawner"
c.DockerSpawner.image = "labkit"  # repo2docker --no-run --image-name labkit .
c.DockerSpawner.cmd = ["jupyterhub-singleuser"]  # the image's entrypoint runs it
c.DockerSpawner.default_url = "/lab/tree/work/notebooks/00_start_here.ipynb"
c.DockerSpawner.start_timeout = 120  # seconds
c.DockerSpawner.remove = True

c.DockerSpawner.extra_create_kwargs = {"user": "1000:1000"}
c.DockerSpawner.extra_host_config = {
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
}

c.DockerSpawner.cpu_limit = 1
c.DockerSpawner.mem_limit = "2G"
