from engine.docker_transport import Endpoint


class DockerStreams:
    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint.url
