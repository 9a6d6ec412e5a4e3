"""The clients file: what an entry decides, what it takes over, which call belongs to which client."""

from pathlib import Path

import pytest

from cds_service.app import create_app, refused_keys
from cds_service.clients import Clients, load_clients, packaged_profile
from cds_service.clinical.assessment import Order
from cds_service.knowledge.code_map import CodeKind
from cds_service.settings import Settings, SettingsError, load_settings
from cds_service.site_files import is_open_to_all
from tests.tokens import entry, key_set, public_jwk, site

STORED = {"RLS_CDS_PUBLIC_URL": "https://rls.example.org", "RLS_CDS_STORE": "sqlite:////var/lib/rls/store.db"}
PRODUCTION = {"RLS_CDS_ENVIRONMENT": "production", "RLS_CDS_AUDIT": "/var/log/rls", **STORED}

TRUST = """
[clients.trust]
issuer = "https://ehr.example.org"
keys_url = "https://ehr.example.org/jwks.json"
"""
TRUSTED = f'[[clients]]\nname = "north"\nscreening = true\n{TRUST}'

TWO = """
[[clients]]
name = "north"
screening = false

[clients.fhir]
servers = ["https://north.example.org/fhir"]
budget_ms = 900

[[clients.orders.ferritin]]
system = "urn:com.epic.cdshooks.action.code.system.preference-list-item"
code = "4711"
display = "Ferritin"

[[clients]]
name = "south"
screening = true
fhir = { servers = ["https://south.example.org/fhir", "https://south.example.org/r4"] }
"""


def clients_of(text: str, folder: Path, **environ: str) -> Clients:
    file = folder / "clients.toml"
    file.write_text(text, encoding="utf-8")
    return load_clients(load_settings({"RLS_CDS_CLIENTS": str(file), **environ}))


def test_the_packaged_profile_codes_every_order_and_screens() -> None:
    profile = load_clients(Settings()).default
    assert (profile.name, profile.is_screening_on) == ("default", True)
    codes = {order: [coding.code for coding in codings] for order, codings in profile.order_codings.items()}
    assert codes == {Order.FERRITIN: ["2276-4"], Order.IRON_PANEL: ["50190-8"], Order.CRP: ["1988-5"]}
    assert all(
        coding.system == "http://loinc.org" and coding.display
        for codings in profile.order_codings.values()
        for coding in codings
    )


@pytest.mark.parametrize("is_on", [True, False])
def test_a_site_decides_on_screening(*, is_on: bool) -> None:
    assert load_clients(Settings(screening=is_on)).default.is_screening_on is is_on


def test_development_may_ask_named_servers_and_this_machine() -> None:
    allowed = "https://EHR.example.org/fhir/, http://localhost:8080/fhir ,"
    policy = load_clients(load_settings({"RLS_CDS_FHIR_ALLOW": allowed})).default.fhir
    assert [f"{one.origin}{one.path}" for one in policy.servers] == [
        "https://ehr.example.org/fhir",
        "http://localhost:8080/fhir",
    ]
    assert (policy.budget_ms, policy.is_loopback_allowed, policy.is_open_allowed) == (2000, True, True)


def test_production_may_ask_named_servers_with_a_token_only(tmp_path: Path) -> None:
    clients = clients_of(TRUSTED + SERVER, tmp_path, **PRODUCTION, RLS_CDS_FHIR_BUDGET_MS="750")
    policy = clients.named[0].fhir
    assert policy.address("https://a.example.org/fhir/") is not None
    assert policy.address("http://127.0.0.1:8080/fhir") is None
    assert (policy.budget_ms, policy.is_open_allowed) == (750, False)


def test_an_entry_decides_and_takes_over_the_rest(tmp_path: Path) -> None:
    north, south = clients_of(TWO, tmp_path).named
    assert (north.name, north.is_screening_on, north.fhir.budget_ms) == ("north", False, 900)
    assert [coding.code for coding in north.order_codings[Order.FERRITIN]] == ["4711"]
    assert [coding.code for coding in north.order_codings[Order.IRON_PANEL]] == ["50190-8"]
    assert (south.is_screening_on, south.fhir.budget_ms) == (True, 2000)
    assert [coding.code for coding in south.order_codings[Order.FERRITIN]] == ["2276-4"]


@pytest.mark.parametrize(
    ("server", "name"),
    [
        ("https://north.example.org/fhir", "north"),
        ("https://NORTH.example.org:443/fhir/", "north"),
        ("https://south.example.org/r4", "south"),
        ("https://south.example.org/r5", "default"),
        ("https://north.example.org.evil.example/fhir", "default"),
        ("not an address", "default"),
        (None, "default"),
    ],
)
def test_a_call_belongs_to_the_client_whose_server_it_names(
    server: str | None, name: str, tmp_path: Path
) -> None:
    assert clients_of(TWO, tmp_path).profile_of(server).name == name


def test_a_call_without_a_server_belongs_to_the_only_client(tmp_path: Path) -> None:
    only = clients_of(
        '[[clients]]\nname = "only"\n[clients.fhir]\nservers = ["https://a.example.org"]\n', tmp_path
    )
    assert only.profile_of(None).name == "only"
    assert only.profile_of("https://b.example.org").name == "default"
    assert only.named[0].is_screening_on


def test_the_servers_of_one_client_are_not_asked_for_another(tmp_path: Path) -> None:
    clients = clients_of(TWO, tmp_path, RLS_CDS_FHIR_ALLOW="https://all.example.org/fhir")
    assert clients.named[0].fhir.address("https://all.example.org/fhir") is None
    assert clients.named[0].fhir.address("https://south.example.org/fhir") is None
    assert clients.default.fhir.address("https://all.example.org/fhir") is not None


def test_in_production_an_unknown_caller_is_not_screened(tmp_path: Path) -> None:
    assert not clients_of(TRUSTED, tmp_path, **PRODUCTION).default.is_screening_on


def test_a_client_is_found_by_its_name(tmp_path: Path) -> None:
    clients = clients_of(TWO, tmp_path)
    assert clients.called("south") is clients.named[1]
    assert clients.called("default") is clients.default
    with pytest.raises(SettingsError, match=r"No client is called 'west'. There are: north, south, default"):
        clients.called("west")


SERVER = '[clients.fhir]\nservers = ["https://a.example.org/fhir"]\n'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "clients: Field required"),
        ("clients = ", "not TOML"),
        ("clients = []", "clients: Tuple should have at least 1"),
        ('[[clients]]\nname = "x y"', r"clients\[0\].name"),
        ('[[clients]]\nname = "x"\nmore = 1', r"clients\[0\].more: Extra"),
        ('[[clients]]\nname = "x"\n[[clients.orders.magnesium]]', r"clients\[0\].orders.magnesium"),
        ('[[clients]]\nname = "x"\n[[clients.orders.ferritin]]\ncode = ""', r"orders.ferritin\[0\].code"),
        ('[[clients]]\nname = "x"\n[clients.fhir]\nservers = ["http://e.example.org"]', "must be https"),
        ('[[clients]]\nname = "x"\n[clients.fhir]\nservers = [5]', r"servers\[0\]"),
        ('[[clients]]\nname = "x"\n[clients.fhir]\nbudget_ms = 5', "budget_ms"),
        ('[[clients]]\nname = "x"\n[[clients]]\nname = "x"\n', "two clients are called x"),
        ('[[clients]]\nname = "default"\n', "two clients are called default"),
        (
            f'[[clients]]\nname = "x"\n{SERVER}[[clients]]\nname = "y"\n{SERVER}',
            "two clients name the FHIR server https://a.example.org/fhir",
        ),
    ],
)
def test_a_wrong_file_is_refused_with_the_place(text: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=f"RLS_CDS_CLIENTS: .*{reason}") as caught:
        clients_of(text, tmp_path)
    assert "errors.pydantic" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('[[clients]]\nname = "x"\n', "client x: screening must be true or false in production"),
        (
            '[[clients]]\nname = "x"\nscreening = true\n[clients.fhir]\nservers = ["http://127.0.0.1/fhir"]',
            "https addresses in production",
        ),
        ('[[clients]]\nname = "x"\nscreening = true\n', "every client needs a table trust in production"),
        (
            TRUSTED.replace("https://ehr.example.org/jwks", "http://127.0.0.1/jwks"),
            "keys_url must be https in production",
        ),
        (TRUSTED + 'audience = "http://localhost/rls"\n', "audience must be https in production"),
        (
            TRUSTED.replace("https://ehr.example.org", "https://sandbox.cds-hooks.org", 1),
            "the sandbox's private key is public",
        ),
        (
            TRUSTED.replace("https://ehr.example.org", "HTTPS://sandbox.cds-hooks.org/", 1),
            "the sandbox's private key is public",
        ),
        (
            TRUSTED.replace("https://ehr.example.org/jwks", "https://Sandbox.CDS-hooks.org:443/jwks"),
            "the sandbox's private key is public",
        ),
    ],
)
def test_production_leaves_nothing_open_in_an_entry(text: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=reason):
        clients_of(text, tmp_path, **PRODUCTION)


@pytest.mark.parametrize("name", ["clients.toml", "keys.json"])
def test_production_takes_no_file_that_everybody_may_change(name: str, tmp_path: Path) -> None:
    text = TRUSTED.replace('keys_url = "https://ehr.example.org/jwks.json"', 'keys_file = "keys.json"')
    (tmp_path / "keys.json").write_text("{}", encoding="utf-8")
    assert clients_of(text, tmp_path, **PRODUCTION).is_authenticating
    (tmp_path / name).chmod(0o666)
    with pytest.raises(SettingsError, match=rf"RLS_CDS_CLIENTS: {name} can be written by everybody"):
        clients_of(text, tmp_path, **PRODUCTION)
    clients_of(text, tmp_path, **STORED)


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("clients", 0o777),  # the folder of the clients file
        (".", 0o777),  # the one above
        ("clients/keys.json", 0o666),
        ("key", 0o666),
        ("audit", 0o777),
        ("store.db", 0o666),
    ],
)
def test_production_keeps_nothing_where_everybody_may_write(name: str, mode: int, tmp_path: Path) -> None:
    (tmp_path / "clients").mkdir()
    (tmp_path / "audit").mkdir()
    place = site(tmp_path / "clients", entry(more="screening = false\n"))
    (tmp_path / "clients" / "store.db").rename(tmp_path / "store.db")
    (tmp_path / "key").write_bytes(b"k" * 32)
    settings = {
        "RLS_CDS_ENVIRONMENT": "production",
        "RLS_CDS_CLIENTS": str(place.clients),
        "RLS_CDS_PUBLIC_URL": "https://rls.example.org",
        "RLS_CDS_STORE": f"sqlite:///{tmp_path}/store.db",
        "RLS_CDS_AUDIT": str(tmp_path / "audit"),
        "RLS_CDS_AUDIT_KEY_FILE": str(tmp_path / "key"),
    }
    create_app(load_settings(settings))
    (tmp_path / name).chmod(mode)
    with pytest.raises(SettingsError, match=r"can be written by everybody, or is in a folder that can"):
        create_app(load_settings(settings))


# The public halves of the keys that the public sandbox signs with, or has signed with.
SANDBOX_KEYS_PUBLIC = [
    {
        "crv": "P-384",
        "x": "dw_JGR8nB2I6XveNxUOl2qk699ZPLM2nYI5STSdiEl9avAkrm3CkfYMbrrjr8laB",
        "y": "Sm3mLE-n1zYNla_aiE3cb3nZsL51RbC7ysw3q8aJLxGm-hx79RPMYpITDjp7kgzy",
    },
    {
        "crv": "P-256",
        "x": "QWI9fI8TcNtdikhVs_M1N_Szb7BOj19etvIKfrQMa9k",
        "y": "jDkhk_Z2RZZ5L5rN4vd1_i-RJLn3EfEhDcy7iFBg--I",
    },
]


@pytest.mark.parametrize("key", SANDBOX_KEYS_PUBLIC)
def test_production_takes_no_key_of_the_sandbox_whatever_it_is_called(
    key: dict[str, str], tmp_path: Path
) -> None:
    place = site(tmp_path, entry(more="screening = false\n"))
    keys = key_set({"kty": "EC", "kid": "ours", **key}, public_jwk())
    (tmp_path / "keys.json").write_text(keys, encoding="utf-8")
    create_app(place.settings)
    settings = {**PRODUCTION, "RLS_CDS_CLIENTS": str(place.clients), "RLS_CDS_STORE": place.store}
    with pytest.raises(SettingsError, match="keys_file: a key whose private half is public"):
        create_app(load_settings(settings | {"RLS_CDS_AUDIT": str(tmp_path)}))
    assert refused_keys(Settings()) == frozenset()


def test_a_file_that_is_gone_when_its_rights_are_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^here: the file cannot be read \(FileNotFoundError\)"):
        is_open_to_all(tmp_path / "none.toml", "here")


def test_a_file_that_cannot_be_read_is_named_by_its_setting(tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match=r"RLS_CDS_CLIENTS: the file cannot be read \(FileNotFoundError\)"
    ):
        load_clients(Settings(clients=tmp_path / "none.toml"))
    (tmp_path / "latin.toml").write_bytes(b"\xff")
    with pytest.raises(SettingsError, match=r"\(UnicodeDecodeError\)"):
        load_clients(Settings(clients=tmp_path / "latin.toml"))


def test_trust_has_the_limits_of_the_documentation(tmp_path: Path) -> None:
    trust = clients_of(TRUSTED, tmp_path, **PRODUCTION).named[0].trust
    assert trust is not None
    assert trust.algorithms == ("ES384", "RS384")
    assert (trust.lifetime_s, trust.leeway_s, trust.subject, trust.tenant) == (300, 5, None, None)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ('algorithms = ["HS384"]', r"trust.algorithms\[0\]"),
        ('algorithms = ["none"]', r"trust.algorithms\[0\]"),
        ("algorithms = []", "trust.algorithms"),
        ("lifetime_s = 3601", "trust.lifetime_s"),
        ("leeway_s = 61", "trust.leeway_s"),
        ('keys_file = "keys.json"', "trust: name either keys_url or keys_file"),
        ("", "keys_url: must be an address with a path"),
        ('audience = "ftp://x"', "trust.audience"),
        ('audience = "http://x.example.org"', "trust.audience: must be https"),
        ('tenant = ""', "trust.tenant"),
    ],
)
def test_a_wrong_table_trust_is_refused(change: str, reason: str, tmp_path: Path) -> None:
    text = f"{TRUSTED}{change}\n" if change else TRUSTED.replace("/jwks.json", "/")
    with pytest.raises(SettingsError, match=reason):
        clients_of(text, tmp_path, **STORED)


@pytest.mark.parametrize(
    ("tenants", "is_refused"),
    [(("", ""), True), (("a", ""), True), (("", "a"), True), (("a", "a"), True), (("a", "b"), False)],
)
def test_clients_of_one_issuer_need_a_tenant_each(
    tenants: tuple[str, str], *, is_refused: bool, tmp_path: Path
) -> None:
    entries = (
        f'[[clients]]\nname = "c{number}"\n{TRUST}' + (f'tenant = "{tenant}"\n' if tenant else "")
        for number, tenant in enumerate(tenants)
    )
    text = "".join(entries)
    if is_refused:
        with pytest.raises(SettingsError, match="two clients with one issuer need a tenant each"):
            clients_of(text, tmp_path, **STORED)
    else:
        assert len(clients_of(text, tmp_path, **STORED).named) == 2


def test_trust_is_for_all_clients_or_for_none(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="either every client has a table trust or none"):
        clients_of(f'{TRUSTED}[[clients]]\nname = "open"\n', tmp_path, **STORED)


@pytest.mark.parametrize("missing", ["RLS_CDS_STORE", "RLS_CDS_PUBLIC_URL"])
def test_trust_needs_a_store_and_a_public_address(missing: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=f"{missing} must .* where callers are trusted by token"):
        clients_of(TRUSTED, tmp_path, **{**STORED, missing: ""})


@pytest.mark.parametrize("origin", ["*", "https://a.example.org/", "https://A.example.org", "null"])
def test_an_origin_is_named_exactly(origin: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"clients\[0\].origins\[0\]"):
        clients_of(f'[[clients]]\nname = "x"\norigins = ["{origin}"]\n', tmp_path)


# --------------------------------------------------------------------------------------------- code map
CODES = """kind,system,code,target_system,target_code
laboratory,urn:oid:2.999.1,FERR,LOINC,2276-4
"""
MAPPED = '[[clients]]\nname = "x"\ncode_map = "codes.csv"\n[[clients]]\nname = "y"\n'


def test_the_codes_of_one_client_are_in_the_file_beside_and_nobody_elses(tmp_path: Path) -> None:
    (tmp_path / "codes.csv").write_text(CODES, encoding="utf-8")
    clients = clients_of(MAPPED, tmp_path)
    found = clients.called("x").code_map.find(CodeKind.LABORATORY, "urn:oid:2.999.1", "FERR")
    assert found is not None
    assert found.target_code == "2276-4"
    assert not clients.called("y").code_map
    assert not clients.default.code_map


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, r"codes\.csv: the file cannot be read \(FileNotFoundError\)"),
        (CODES.replace("2276-4", "2276-5"), r"codes\.csv:\n  line 2: target_code: is not known"),
        (CODES + ",,,,\nlab,,,,\n", r"codes\.csv:\n  line 4: code: is empty\n  line 4: kind: must be one of"),
    ],
)
def test_a_code_map_with_a_fault_stops_the_start_with_the_place(
    text: str | None, reason: str, tmp_path: Path
) -> None:
    if text is not None:
        (tmp_path / "codes.csv").write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=f"RLS_CDS_CLIENTS: client x: {reason}"):
        clients_of(MAPPED, tmp_path)


def test_of_many_faults_the_first_are_told_and_their_number(tmp_path: Path) -> None:
    (tmp_path / "codes.csv").write_text(CODES.replace("2276-4", "") + "x\n" * 30, encoding="utf-8")
    with pytest.raises(
        SettingsError, match=r"line 2: (?s:.*)line 3: (?s:.*)and 11 more: rls-cds codes check tells all"
    ) as caught:
        clients_of(MAPPED, tmp_path)
    assert str(caught.value).count("\n") == 21


@pytest.mark.parametrize("name", ["../codes.csv", "/etc/codes.csv", "a/codes.csv", ".codes.csv", ""])
def test_a_code_map_lies_beside_the_clients_file(name: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"clients\[0\].code_map"):
        clients_of(MAPPED.replace("codes.csv", name), tmp_path)


def test_the_code_map_is_among_the_files_whose_change_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "codes.csv").write_text(CODES, encoding="utf-8")
    assert clients_of(MAPPED, tmp_path).files == (tmp_path / "clients.toml", tmp_path / "codes.csv")


@pytest.mark.parametrize(("setting", "is_taken"), [("true", True), ("false", False)])
def test_a_target_in_snomed_ct_needs_it_switched_on(setting: str, *, is_taken: bool, tmp_path: Path) -> None:
    rows = "problem,urn:oid:2.999.3,P77,SNOMED CT,32914008\nproblem,urn:oid:2.999.3,P78,ICD-10-CM,G25.81\n"
    (tmp_path / "codes.csv").write_text(CODES.splitlines()[0] + "\n" + rows, encoding="utf-8")
    if is_taken:
        assert len(clients_of(MAPPED, tmp_path, RLS_CDS_SNOMED=setting).called("x").code_map.codes) == 2
        return
    with pytest.raises(SettingsError, match=r"line 2: target_code: is not known") as caught:
        clients_of(MAPPED, tmp_path, RLS_CDS_SNOMED=setting)
    assert "line 3" not in str(caught.value)


# ------------------------------------------------------------------- development is not half of production
@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"RLS_CDS_PUBLIC_URL": "https://rls.example.org"}, "RLS_CDS_PUBLIC_URL must be an http address"),
        ({"HOST": "0.0.0.0"}, "HOST must be a loopback address"),  # noqa: S104 - what is refused
    ],
)
def test_development_does_not_start_as_if_it_were_production(
    more: dict[str, str], reason: str, tmp_path: Path
) -> None:
    place = site(tmp_path, entry(issuer="https://sandbox.cds-hooks.org"))
    given = {"CLIENTS": str(place.clients), "PUBLIC_URL": "http://localhost:8080", "STORE": place.store}
    settings = {f"RLS_CDS_{name}": value for name, value in given.items()}
    create_app(load_settings(settings))
    with pytest.raises(SettingsError, match=reason) as caught:
        create_app(load_settings(settings | more))
    assert "RLS_CDS_ENVIRONMENT=production" in str(caught.value)


@pytest.mark.parametrize(("host", "is_allowed"), [("127.0.0.1", True), ("0.0.0.0", False)])  # noqa: S104 - as above
def test_an_exposed_service_asks_no_port_of_its_own_machine(host: str, *, is_allowed: bool) -> None:
    fhir = packaged_profile(Settings(host=host)).fhir
    assert (fhir.address("http://127.0.0.1:6379/x") is not None) is is_allowed
