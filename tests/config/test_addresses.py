"""Where servers are and what opens them: by parameter, by environment, never both silently, never a secret shown."""

import string
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crl.config.addresses import DEFAULT_GRPC_PORT, SECRETS, MetricsAddress, WeaviateAddress, addresses, secret
from crl.config.servers import ServersConfig
from crl.errors import ConfigError

NAMED = ServersConfig(
    actor=("http://a:1", "http://b:2/"), extractor=("https://x/gateway",), weaviate="https://w", ray="ray://r:10001"
)
hosts = st.one_of(
    st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=20),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda ip: f"[{ip.compressed}]"),
)
ports = st.integers(1, 65535)


def test_parameters_name_servers_and_without_any_everything_is_here():
    found = addresses(NAMED, {})
    assert found.actor == ("http://a:1", "http://b:2")
    assert found.extractor == ("https://x/gateway",)
    assert found.weaviate == WeaviateAddress("w", 443, DEFAULT_GRPC_PORT, True)
    assert found.ray == "ray://r:10001"
    nothing = addresses(ServersConfig(), {})
    assert (nothing.actor, nothing.embedder, nothing.weaviate, nothing.ray) == ((), (), None, None)


def test_every_address_can_come_from_the_environment_which_wins_and_can_unset():
    environment = {
        "CRL_ACTOR_URLS": "http://c:3, http://d:4/,",
        "CRL_EXTRACTOR_URLS": "",
        "CRL_EMBEDDER_URLS": "http://e:5",
        "CRL_WEAVIATE_URL": "http://v?grpc=7",
        "CRL_RAY_ADDRESS": "",
    }
    found = addresses(NAMED, environment)
    assert (found.actor, found.extractor, found.embedder) == (("http://c:3", "http://d:4"), (), ("http://e:5",))
    assert found.weaviate == WeaviateAddress("v", 8080, 7, False)
    assert found.ray is None


@given(st.sampled_from(["http", "https"]), hosts, ports, ports)
def test_an_address_of_weaviate_says_what_it_means(scheme, host, port, grpc):
    found = addresses(ServersConfig(weaviate=f"{scheme}://{host}:{port}?grpc={grpc}"), {}).weaviate
    assert (found.port, found.grpc_port, found.secure) == (port, grpc, scheme == "https")
    assert found.url == f"{scheme}://{host}:{port}"
    assert addresses(ServersConfig(), {"CRL_WEAVIATE_URL": found.url}).weaviate.host == found.host


REFUSED = [
    "http://[::1", "http://h:99999", "http://h:0", "http://h:x", "http://h?grpc=²", "http://h?grpc=", "http://h?grpc=0",
    "http://h?api_key=k", "http://h/path", "ftp://h", "h:8080", "http://",
]  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_address_of_weaviate_is_refused_by_name_and_with_a_remedy(text):
    with pytest.raises(ConfigError, match=r"CRL_WEAVIATE_URL.*Remedy"):
        addresses(ServersConfig(), {"CRL_WEAVIATE_URL": text})


@given(
    st.one_of(st.text(max_size=40), st.text(max_size=40).map("http://{}".format), st.from_regex(r"https?://h[:?#/].*"))
)
def test_no_text_breaks_the_parser_but_by_a_config_error(text):
    with suppress(ConfigError):
        found = addresses(ServersConfig(), {"CRL_WEAVIATE_URL": text}).weaviate
        assert found is None or (found.host and 0 < found.port < 2**16 and 0 < found.grpc_port < 2**16)


@pytest.mark.parametrize("url", ["http://h:1?x=1", "http://h:1#f", "h:1", "http://", "http://a b"])
def test_a_model_servers_address_is_an_address_and_nothing_more(url):
    with pytest.raises(ConfigError, match=r"servers\.actor"):
        addresses(ServersConfig(actor=(url,)), {})


@given(hosts, st.integers(0, 65535))
def test_metrics_are_answered_at_the_host_and_port_that_are_named(host, port):
    found = addresses(ServersConfig(metrics=f"{host}:{port}"), {}).metrics
    assert found == MetricsAddress(host.strip("[]"), port, "servers.metrics")
    assert addresses(ServersConfig(metrics=f"{host}:{port}"), {"CRL_METRICS_ADDRESS": ""}).metrics is None


@pytest.mark.parametrize(
    "text", ["9464", "h", ":9464", "h:", "h:99999", "h:x", "http://h:1", "h:1/metrics", "h:1?x", "[::1", " h:1"]
)
def test_what_is_no_host_and_port_for_metrics_is_refused_by_name_and_with_a_remedy(text):
    with pytest.raises(ConfigError, match=r"CRL_METRICS_ADDRESS.*Remedy: 127\.0\.0\.1:9464"):
        addresses(ServersConfig(), {"CRL_METRICS_ADDRESS": text})


@pytest.mark.parametrize(
    "variable", ["CRL_ACTOR_URLS", "CRL_EMBEDDER_URLS", "CRL_WEAVIATE_URL", "CRL_RAY_ADDRESS", "CRL_METRICS_ADDRESS"]
)
@pytest.mark.parametrize("text", ["http://me:s3cret@h:1", "me:s3cret@h:1", "ray://:s3cret@h", "http://s3cret@[h"])
def test_credentials_in_an_address_are_refused_and_not_shown(variable, text):
    with pytest.raises(ConfigError) as error:
        addresses(ServersConfig(), {variable: text})
    assert variable in str(error.value)
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_a_variable_or_a_file_and_the_variable_wins(name, tmp_path):
    file = tmp_path / "key"
    file.write_text("from a file\n")
    environment = {f"CRL_{name}_FILE": str(file)}
    assert secret(name, {}) is None
    assert secret(name, environment) == "from a file"
    assert secret(name, environment | {f"CRL_{name}": "from a variable"}) == "from a variable"
    file.write_text("\n")
    assert secret(name, environment) is None
    file.unlink()
    with pytest.raises(ConfigError, match=f"CRL_{name}_FILE"):
        secret(name, environment)
