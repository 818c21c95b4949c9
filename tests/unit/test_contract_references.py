"""Which words of a sentence are names of code, and which only look like some."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from firstpass.chat import Message
from firstpass.contract import shipped
from firstpass.contract.mend import respelt, unplaced
from firstpass.contract.references import is_proper, references, unknown
from firstpass.exchange import Ask, Reply
from tests.machine import LINEAR, growth

CASES = Path(__file__).parents[1] / "cases"


@pytest.mark.parametrize("name", ["prose-node-js", "prose-plural-s", "commit-scope"])
def test_a_case_of_the_collection_has_no_invented_name(name: str) -> None:
    case = json.loads((CASES / f"{name}.json").read_text(encoding="utf-8"))
    messages = (Message("user", case["diff"]),)
    asked = Ask(id="a", received_unix=0.0, kind="chat", model="firstpass", target="cascade", messages=messages)
    found = shipped(case["contract"]).check(asked, Reply(case["answer"], "m", "stop", None, 0.1))
    assert [finding for finding in found if finding.check == "hallucinated"] == []


PROSE = """
Require Node.js 20.
Move from Vue.js and Next.js to Nuxt.js.
Draw it with D3.js, Three.js and Chart.js.
Run on ASP.NET and .NET.
Use Socket.IO, or socket.io.
Serve GraphQL and gRPC beside REST.
Let GitHub, GitLab and BitBucket read it.
Speed up PyTorch, TensorFlow and NumPy.
Describe FastAPI and OpenAPI.
Raise OpenSSL, LibreSSL and OpenSSH.
Listen on IPv4 and IPv6.
Log in with OAuth, OAuth2 and OpenID.
Close the WebSocket, and all WebSockets.
Build for iOS, macOS, iPadOS and watchOS.
Talk to MongoDB, PostgreSQL, MySQL, SQLite, DynamoDB and CouchDB.
Support RabbitMQ, ZeroMQ and ActivityPub.
Write JavaScript, TypeScript, CoffeeScript and WebAssembly.
Test with JUnit, PHPUnit and xUnit.
Open it in VSCode, IntelliJ and PyCharm.
Ask ChatGPT, OpenAI or HuggingFace.
Store it at YouTube, LinkedIn or PayPal.
Need jQuery 3, OkHttp4 or RxJava2.
Do DevOps, MLOps and GitOps.
Offer SaaS, PaaS and IaaS.
Take e.g. a file, i.e. its path.
Take it, a.k.a. the name, at 3 p.m. in the U.S. (U.S.A. too).
Raise the version to v1.2.3, 2.0.0 and v3.0.0-rc.1.
Drop Python3.x and 2.x.
See README.md, CHANGELOG.md and LICENSE.txt.
Read setup.py, setup.cfg, pyproject.toml and package.json.
Mention docker-compose.yml and Dockerfile.
Point to example.com, docs.python.org and api.github.com.
See https://example.com/a/create_session?x=openShop for more.
Mail ana.smith@shop_front.example.org about it.
Handle file(s) better.
Count error(s)/warning(s) and class(es).
Rename entry(ies), Header(s) and URL(S).
Wait for read and/or write of I/O.
feat(api): send a report
fix(api)!: send a report
feat(api)!: handle file(s)
chore(deps): raise it
fix(web/api): send it
refactor(cli, api): send it
Revert "feat(api): send a report"
[backport] fix(connector): send it
fix(): send it
docs: explain it
net/http: send it
Use 5kB, 10 MB, 3 GiB, 20 kHz and 4 kWh.
Keep the 1st, 2nd and 3rd.
Sort in O(n) and O(log n) steps.
Pay $5, US$20 or $1.50.
Speak en_US, pt_BR and zh_CN.
Run on x86_64.
Use B2B, P2P, E2E, H2O, I18N, K8S and W3C.
Keep snake_case and camelCase apart, and PascalCase.
Say more about JSON, YAML, HTTP, TLS and APIs.
Merge pull request(#12), issue(GH-34).
Use TLSv1 and SSLv3.
Render LaTeX, MathJax and AsciiDoc.
Ship AppImage, NuGet and CocoaPods.
Fix WiFi, VoIP and WebRTC.
Format a `Node.js` and a `README.md` span.
Prefer 3.11 to 3.10.
Trace with OpenTelemetry, StatsD and DataDog.
It's the user's; they've seen it, haven't they?
Return early ... and stop.
Support C++, C# and F#.
""".strip().splitlines()


@pytest.mark.parametrize("sentence", PROSE)
def test_prose_names_no_code(sentence: str) -> None:
    assert references(sentence) == ()


@pytest.mark.parametrize(
    ("sentence", "names"),
    [
        ("Call launchRocket().", ("launchRocket",)),
        ("Call launch() twice.", ("launch",)),
        ("Call open(path) first.", ("open",)),
        ("Call files(s, t).", ("files",)),
        ("Call getFiles(s).", ("getFiles",)),
        ("Call file(s).read().", ("file",)),
        ("Call shop.open(s).", ("shop.open",)),
        ("Call Shop::open().", ("Shop::open",)),
        ("Call Shop#open() and shop->close().", ("Shop#open", "shop->close")),
        ("Call GraphQL().", ("GraphQL",)),
        ("Call WebSocket(url).", ("WebSocket",)),
        ("Use SessionFactory.", ("SessionFactory",)),
        ("Use HttpClientBuilder and its UserStore.", ("HttpClientBuilder", "UserStore")),
        ("Use GitHubClient.", ("GitHubClient",)),
        ("Use WebSocketHandler.", ("WebSocketHandler",)),
        ("Use OAuth2Client.", ("OAuth2Client",)),
        ("Use NodeJSRunner.", ("NodeJSRunner",)),
        ("Set sessionStore.", ("sessionStore",)),
        ("Set gitHub and openApi.", ("gitHub", "openApi")),
        ("Set webSocket.", ("webSocket",)),
        ("Set SESSION_TTL.", ("SESSION_TTL",)),
        ("Set session_ttl.", ("session_ttl",)),
        ("Set _private and $scope.", ("_private", "$scope")),
        ("See login.refresh.", ("login.refresh",)),
        ("See React.memo.", ("React.memo",)),
        ("See config.GitHub.", ("config.GitHub",)),
        ("See SessionStore.js.", ("SessionStore.js",)),
        ("See src/auth/logout_flow.py.", ("logout_flow.py",)),
        ("See main.go and lib.rs.", ("main.go", "lib.rs")),
        ("See session.id and user.name.", ("session.id", "user.name")),
        ("See std::sync::Mutex.", ("std::sync::Mutex",)),
        ("Test `tokens`.", ("tokens",)),
        ("Test `open(path)`.", ("open(path",)),
        ("Run `pytest -k create_session`.", ("create_session",)),
        ("feat(sessionStore): send it", ("sessionStore",)),
        ("feat(api): call launchRocket()", ("launchRocket",)),
        ("fix: call launchRocket", ("launchRocket",)),
        ("fix(api) launchRocket", ("fix", "launchRocket")),
        ("See https://example.com and openShop.", ("openShop",)),
        ("Node.js calls runShop.", ("runShop",)),
        ("Handle file(s) in openShop.", ("openShop",)),
        ("Use v2 of openShop_v2.", ("openShop_v2",)),
        ("Use en_US_locale.", ("en_US_locale",)),
        ("Use e.g. openShop.", ("openShop",)),
        ("Sort with O(n) in sortAll.", ("sortAll",)),
    ],
)
def test_a_name_of_code_is_found_beside_prose(sentence: str, names: tuple[str, ...]) -> None:
    assert references(sentence) == names


@pytest.mark.parametrize(
    ("text", "names", "strange"),
    [
        ("Let OkFoo close.", {"okfoo"}, ()),
        ("Let SessionFactory close.", {"session", "factory"}, ("SessionFactory",)),
        ("Let CreateSession run.", {"createSession"}, ("CreateSession",)),
        ("Close all AsyncClients.", {"AsyncClient"}, ()),
        ("Close all asyncClients.", {"asyncClient"}, ("asyncClients",)),
        ("reverse_shop: close it", {"reverseshop"}, ()),
        ("fix(reverse_shop): close it", {"reverseshop"}, ()),
        ("fix(other_shop): close it", {"reverseshop"}, ("other_shop",)),
        ("Close reverse_shop: it leaks", {"reverseshop"}, ("reverse_shop",)),
        ("See shop.open.", {"shop"}, ("shop.open",)),
        ("See shop.open.", {"shop", "open"}, ()),
    ],
)
def test_a_name_may_be_written_in_another_way_than_in_the_diff(
    text: str, names: set[str], strange: tuple[str, ...]
) -> None:
    assert unknown(text, frozenset(names)) == strange


def test_the_list_of_proper_names_has_each_once_and_none_that_is_code_alone() -> None:
    path = Path(is_proper.__code__.co_filename).with_name("proper_names.txt")
    names = [name for line in path.read_text(encoding="utf-8").splitlines() if line[:1] != "#" for name in line.split()]
    assert len(names) == len(set(names)) > 900
    assert all(map(is_proper, names))
    assert not any(map(is_proper, ["SessionFactory", "UserStore", "createSession", "gitHub", "", "s", "42"]))


@pytest.mark.parametrize(
    "text",
    [
        "Use GraphQL.",
        "Use JavaScript and TypeScript.",
        "Talk to GitHub.",
        "Open the WebSocket.",
        "Require Node.js 20.",
        "Handle file(s).",
        "feat(api): send it",
        "See example.com.",
        "Use MongoDB and PyTorch.",
        "Use FooBaz.",
    ],
)
def test_a_proper_name_is_not_respelt_into_a_name_of_the_diff(text: str) -> None:
    near = "GraphQl graphql javascript typescript typeScript Github githab websocket webSocket node js nodejs files"
    near += " file feats api apis examples mongoDb pytorch pyTorch foobaz"
    assert respelt(text, frozenset(near.split())) == text


def test_only_the_misspelt_word_is_put_right() -> None:
    names = frozenset(["createSession", "GraphQLServer"])
    assert respelt("Let GraphQL createSesion, not recreateSesion.", names) == (
        "Let GraphQL createSession, not recreateSesion."
    )


PIECES = some.sampled_from(
    ["`", "``", "(", ")", "(s)", ".", "::", "->", "#", "$", "@", "_", "a", "B", "Node", ".js", "feat(", "):", ":", " ",
     "\n", "v1", "http://", "é", "修", "\x00", "\ud800", "O(", "GraphQL", "e.g."]
)  # fmt: skip


@settings(max_examples=400, deadline=None, derandomize=True)
@given(some.lists(PIECES, max_size=20))
def test_no_text_makes_it_raise(pieces: list[str]) -> None:
    text = "".join(pieces)
    names = frozenset(["aB", "Node"])
    unknown(unplaced(respelt(text, names), names), names)


HOSTILE = (
    *("a", "a::", "`", "$", "aB ", "a#", "a->", "a.", "``a", "(", "a(s", "A1", "@", "a@", "a-", "-", "http://"),
    *("feat(", "_", "O("),
)


@pytest.mark.parametrize("piece", HOSTILE)
def test_hostile_text_is_read_in_linear_time(piece: str) -> None:
    """Bug: a word of a hundred thousand letters, a row of backticks and a chain of `a::` took minutes."""
    names = frozenset(["createSession"])

    def read(size: int) -> None:
        unplaced(respelt(piece * (size // len(piece)), names), names)

    assert growth(read, 10_000) < LINEAR
