"""Which lines of code guard: who may do it, whether a message is who it says, whether a path is inside. Words alone.

Knows no diff. A name speaks by its parts: `checkPermission`, `check_permission` and `CheckPermission` say the same.
"""

import re
from functools import lru_cache
from typing import Literal, NamedTuple

from firstpass.evidence.trees.masking import Dialect

Form = Literal["decorator", "registration", "condition", "call", "refusal"]

_CUT = 400
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_NAME = re.compile(r"[A-Za-z_$][\w$]*+[?!]?")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_STRONG = _words(
    "authenticate authenticates authenticated authenticating authorize authorizes authorized authorise authorises"
    " authorised"
    " unauthorized unauthorised ratelimit ratelimiter preauthorize postauthorize rolesallowed superuser"
    " antiforgery"
)
_PAIRS: tuple[tuple[frozenset[str], frozenset[str]], ...] = (
    (
        _words("is was are isnt require required requires ensure only must"),
        _words(
            "admin admins administrator staff owner authed allowed permitted moderator anonymous member logged"
            " privileged"
            " trusted login loggedin"
        ),
    ),
    (
        _words("has have with any all lacks missing needs requires required require ensure"),
        _words(
            "permission permissions perm perms role roles access authority authorities privilege privileges scope"
            " scopes"
            " capability grant rights ability abilities"
        ),
    ),
    (
        _words(
            "check checks require required requires ensure ensures enforce enforces assert verify verified verifies"
            " validate"
            " validated validates must protect protected restrict demand guard"
            " forbid"
        ),
        _words(
            "auth authn authz authentication authorization permission permissions perm perms access role roles"
            " admin staff"
            " owner ownership login token tokens jwt signature signatures hmac privilege privileges scope scopes acl"
            " forgery csrf xsrf membership captcha mfa otp credentials password origin digest certificate apikey bearer"
        ),
    ),
    (
        _words("can cannot may"),
        _words("edit delete access manage view update create publish approve admin administer destroy moderate invite"),
    ),
    (_words("require ensure requires must"), _words("user session account identity tenant")),
    (_words("compare"), _words("digest")),
    (_words("constant"), _words("compare")),
    (_words("timing"), _words("safe")),
    (_words("throttle throttler"), _words("guard classes check request requests limit")),
    (_words("permission authentication throttle"), _words("classes denied")),
    (_words("login permission auth access"), _words("mixin middleware guard filter interceptor")),
    (_words("user"), _words("passes")),
    (_words("is check ensure assert"), _words("safe")),
    (_words("safe"), _words("join")),
    (_words("within inside relative"), _words("directory root base")),
    (_words("path"), _words("traversal")),
)
_STATES = _words("is was are not isnt has have any all lacks missing can cannot may with")
"""Names that begin with one of these ask; they guard only where something depends on the answer."""

_MAKES = _words(
    "parse parses decode encode get gets set create make build new load store reset clear generate refresh update"
    " delete revoke"
    " format render log print fetch init setup"
)
_DECORATING = _words(
    "login permission permissions authenticated authorize authorized authorise secured roles csrf throttle ratelimit"
    " limiter auth jwt protected denyall guards"
)
_OPPOSITE = _words("exempt public anonymous skip disable optional unprotected without redirect url uri link callback")
_COMPARED = _words("role roles owner scope scopes permissions privileges tenant acl")
_MIDDLE = _words(
    "auth authn authz guard protect protected passport jwt acl csrf csurf helmet limiter throttle admin"
    " authentication authorization"
)
_ALL = (
    _STRONG.union(*(nouns for _, nouns in _PAIRS))
    | _DECORATING
    | _COMPARED
    | _MIDDLE
    | _words("denied forbidden credentials current session security authorization authentication enforcer shield")
)

_CONDITION = re.compile(
    r"\s*(?:!|not\b)\s*[\w(]|[}\s]*(?:if|elif|elsif|else\s+if|unless|while|guard|return|assert|switch|when|case"
    r"|match|yield)\b"
    r"|.{0,200}(?:&&|\|\||\?\s|\band\b|\bor\b|\bif\b|\bunless\b)"
)
_DECLARES = re.compile(
    r"\s*(?:(?:export|default|public|private|protected|internal|static|async|abstract|final|override|pub(?:\(\w+\))?"
    r"|open"
    r"|suspend|virtual|declare)\s+){0,5}(?:def|class|func|fn|fun|function\*?|interface|struct|enum|trait|type"
    r"|module)\s+"
    r"(?:\([^)]{0,80}\)\s*)?(?:self\.)?[\w$.]+[?!]?"
)
_IMPORTS = re.compile(
    r"\s*(?:import\b|from\s+\S+\s+import\b|use\s+[\w:\\]|pub\s+use\b|require\b|#\s*include|package\b|using\s+[\w.]+;"
    r"|export\s+(?:\*|\{[^}]*\}\s*from)|(?:const|let|var)\s[^=]{1,200}=\s*require\b|__all__)"
)
_DECORATOR = re.compile(r"\s*(?:@(?P<a>[\w.]+)|#\[(?P<b>[\w:\\]+)|\[(?P<c>[A-Z]\w+)(?=[\](,]))(?P<rest>.*)")
_REGISTERS = re.compile(
    r"\b(?:use|Use(?![a-z])\w*|(?:prepend_|append_)?before_(?:action|filter)|before_request|middlewares?"
    r"|withMiddleware|layer"
    r"|route_layer|wrap|wrap_fn|addHook|preHandler|onRequest|preValidation|beforeHandler|beforeEnter|beforeEach"
    r"|Depends|Security|addFilter\w*|addInterceptors?|guards?|canActivate|useGlobalGuards|authorize(?:Http)?Requests"
    r"|intercept|With|MIDDLEWARE|Group|authenticate)\b\s*(?:[(:=\[{]|\s:)"
)
_ROUTES = re.compile(
    r"\b(?:get|post|put|patch|delete|all|route|GET|POST|PUT|PATCH|DELETE|Handle|HandleFunc|Get|Post|Put|Delete|Patch)"
    r"\(\s*['\"`]/"
)
_CLASSES = re.compile(
    r"\s*(?P<name>\w*(?:permission|authentication|throttle)_classes|DEFAULT_(?:PERMISSION|AUTHENTICATION)\w*"
    r"|permission_required|required_(?:scopes|roles|permissions))['\"]?\s*[=:]"
)
_LISTED = re.compile(
    r"\s*['\"][\w.]{0,120}(?:Csrf\w*|Authentication|Authorization|Auth|Security\w*|Permission\w*|SessionAuth\w*)"
    r"(?:Middleware|Backend|Guard|Filter)\w*['\"],?\s*$"
)
_BARE = re.compile(r"\s*(?:\w+\.)?(?P<name>[A-Za-z_]\w*[?!]?)(?:\(\s*\))?(?P<with>\s+\w+:\s.*)?\s*,?\s*$")
_REFUSES = re.compile(
    r"(?:\b(?:raise|throw|return|abort|status|sendStatus|redirect|halt|head|error|fail|panic|die|exit|reject|bail|Err"
    r"|Error|writeHead|WriteHeader|render|json|respond|Response)\b|\w+!\().{0,160}?"
    r"(?:PermissionDenied|Forbidden|Unauthori[sz]ed|NotAuthenticated|NotAuthori[sz]ed|AccessDenied|AuthenticationFailed"
    r"|InvalidSignature|BadSignature|SuspiciousOperation|SecurityError|SecurityException|SuspiciousFile|PermissionError"
    r"|FORBIDDEN|UNAUTHORI[SZ]ED|forbidden\b|unauthori[sz]ed\b|(?<![\w.])40[13](?![\w.]))"
)
_ONE = (
    r"(?:\b(?:req|request|ctx|context|session|g|self\.request)\.(?:user|currentUser|session|auth)\b"
    r"|\b(?:self\.)?current_?[uU]ser\b"
    r"|\bCurrentUser\b)"
)
_WHO = re.compile(
    rf"[}}\s]*(?:else\s+)?(?:if|elif|unless|guard)\s*\(?\s*(?:!|not\s+)*{_ONE}(?:\.\w+|\?)*\s*\)?\s*[:{{]?\s*$"
    rf"|.{{0,200}}?(?:(?:!|\bnot\s+|\bunless\s+)\(?{_ONE}|{_ONE}[\w.]*\s*[!=]=|[!=]==?\s*{_ONE})"
)
"""Who asks, asked for alone, denied or compared."""
_OWNER = r"\.(?:user|owner|author|creator|created_?by|tenant|organi[sz]ation|account)(?:_?id|\.id)?\b"
_OWNED = re.compile(
    rf"{_OWNER}(?:\(\))?\s*[!=]==?(?!=|\s*(?:null|None|nil|undefined|\"\"|''))|[!=]==?\s*[\w.]{{0,80}}{_OWNER}", re.I
)
_ASKED = re.compile(
    r"\bhmac\.(?:Equal|verify|compare\w*)|\bjwt\.(?:verify|decode|Parse\w*)|\b\w*[eE]nforcer?\.(?:[eE]nforce"
    r"|Authorize)\w*\("
    r"|(?<![\w.])can(?:not)?\?|\bpassport\.authenticate\b|\b(?:abort|throw)_(?:if|unless)\(|\bGate::\w+|\bPundit\b"
    r"|\b\w*[lL]imiter?\w*\.(?:[aA]llow|[cC]heck|[cC]onsume|try_acquire|tryAcquire)\w*\("
    r"|\b(?:check|enforce)\w*[rR]ate_?[lL]imit\w*\(|\bcrypto\.verify\b|\bverify_jwt\w*|\bVerifySignature\b"
    r"|\b[gG]etUser\w*OrThrow\("
)
_COMPARES = re.compile(
    r"[!=]==?(?!=|\s*(?:null|None|nil|undefined)\b)|\b(?:not\s+in|includes\w*|[cC]ontains\w*|has|indexOf|equals\w*"
    r"|include\?)\b"
    r"|(?<!for)\s\w[\w.\])]{1,60}\s+in\s+[\[({]"
)
_TRAVERSAL = re.compile(
    r"(?:['\"]\.\.['\"/]|\.\./).{0,80}(?:\bin\b|includes|contains|Contains|startsWith|strstr)"
    r"|(?:\bin\b|includes|contains|Contains|startsWith|HasPrefix|startswith|indexOf"
    r"|include\?)\W{0,20}\(?['\"]\.\./?['\"]"
    r"|['\"]\.\./?['\"]\s+(?:not\s+)?in\b|\bis_relative_to\("
    r"|(?=.{0,300}(?i:path|dir|file|real|abs|resolv|norm|folder)).{0,200}\b(?:startswith|startsWith|HasPrefix"
    r"|start_with\?)\(.{0,60}"
    r"\b\w*(?:[rR]oot|[bB]ase|safe|allowed|upload|UPLOAD|ROOT|BASE)(?:s?_?(?:[dD]ir|DIR|[pP]ath|PATH|[dD]irectory"
    r"|[fF]older))?\b(?!\()"
)


_HINTS = (
    "auth", "permi", "admin", "staff", "owner", "superuser", "login", "logged", "csrf", "csurf", "xsrf", "forgery",
    "token", "jwt", "role", "scope", "access", "acl", "digest", "hmac", "signat", "denied", "forbidden", "401",
    "403", "allow", "limit", "throttl", "guard", "protect", "tenant", "passport", "helmet", "privil", "can",
    "verif", "secur", "moderator", "member", "current", "..", "root", "base", "user", "captcha", "mfa", "otp",
    "credential", "bearer", "enforce", "timing", "constant", "path", "rights", "ability", "abilities", "capability",
    "account", "session", "identity", "origin", "certificate", "apikey", "password", "trusted", "anonymous", "safe",
    "middleware", "gate::", "pundit", "creator", "author", "suspicious", "badsignature",
)  # fmt: skip
"""One of them stands in each line that guards, in whatever case."""


def hints_in(text: str) -> list[str]:
    """Which of the words that a guard may have stand in a text, in the three ways that names are written."""
    lowered = text.lower()
    hints = [hint for hint in _HINTS if hint in lowered]
    return [form for hint in hints for form in {hint, hint.capitalize(), hint.upper()} if form in text]


_TRAVERSING = ("..", "artsWith", "artswith", "HasPrefix", "start_with", "is_relative_to")


class Guard(NamedTuple):
    """How a line guards, the words that say for whom or what, and the names that do it.

    is_wide: a registration for all that comes after it, not for one route. is_listed: the line is a name of a list, and
    only the lines around it say of which.
    """

    form: Form
    words: frozenset[str]
    names: tuple[str, ...] = ()
    is_wide: bool = False
    is_listed: bool = False


@lru_cache(maxsize=8192)
def parts(name: str) -> frozenset[str]:
    return frozenset(part.lower() for part in _PART.findall(name[:120]))


@lru_cache(maxsize=8192)
def guards_by_name(name: str) -> bool:
    """Whether a function, a class or a property of that name decides who may."""
    found = parts(name)
    if found & _OPPOSITE:
        return False
    return bool(found & _STRONG) or any(verbs & found and nouns & found for verbs, nouns in _PAIRS)


def guard_on(dialect: Dialect, raw: str, code: str) -> Guard | None:
    """The guard of a line, its strings there (`raw`) and blanked (`code`); None for most lines."""
    raw, code = raw[:_CUT], code[:_CUT]
    words = frozenset(part.lower() for part in _PART.findall(raw))
    refusal = _REFUSES.search(code)
    if refusal and not _IMPORTS.match(code):
        return Guard("refusal", words & _ALL)
    if words.isdisjoint(_ALL) or _IMPORTS.match(code):
        return _traversal(raw, code) if ".." in raw or "root" in words or "base" in words else None
    if _LISTED.match(raw) or _CLASSES.match(raw):
        return Guard("registration", words & _ALL)
    return _decorator(raw, words) or _registration(raw, code) or _listed(code) or _used(code) or _traversal(raw, code)


def _traversal(raw: str, code: str) -> Guard | None:
    if not any(word in raw for word in _TRAVERSING):
        return None
    asks = _CONDITION.match(code) or code.rstrip().endswith((":", "{", "\\", ")"))
    if asks and _TRAVERSAL.search(raw):
        return Guard("condition", frozenset(("path", "traversal")))
    return None


def _decorator(raw: str, words: frozenset[str]) -> Guard | None:
    found = _DECORATOR.match(raw)
    if not found:
        return None
    name = found["a"] or found["b"] or found["c"]
    last = parts(re.split(r"[.:\\]+", name)[-1])
    if parts(name) & _OPPOSITE or last & {"setter", "getter", "route", "register", "deleter"}:
        return None
    given = [one for one in _NAME.findall(_within(found["rest"])) if guards_by_name(one)]
    if last & _DECORATING or "limiter" in parts(name) or guards_by_name(name.split(".")[-1]) or given:
        return Guard("decorator", words & _ALL)
    return None


def _within(rest: str) -> str:
    """The arguments of a decorator, without what it stands before on the same line."""
    return rest.rpartition(")")[0] if rest.lstrip().startswith("(") else ""


def _registration(raw: str, code: str) -> Guard | None:
    """`app.use(auth)`, `before_action :authenticate`, `router.post("/x", requireAuth, save)`, `Depends(get_user)`."""
    place = _REGISTERS.search(code) or (_ROUTES.search(raw) if "(" in raw else None)
    if not place or place[0].lstrip().startswith("authenticate"):
        return None
    given = [name for name in _NAME.findall(raw[max(0, place.start()) :]) if _in_the_middle(name, place[0])]
    if not given:
        return None
    is_wide = not _ROUTES.search(raw) and not _DECLARES.match(code)
    return Guard("registration", frozenset().union(*map(parts, given)) & _ALL, tuple(given), is_wide)


def _listed(code: str) -> Guard | None:
    """A name alone on its line: an argument, or a statement of Ruby. What list it stands in the line does not say."""
    found = _BARE.match(code)
    name = found["name"] if found else ""
    if (
        not found
        or parts(name) & _STATES
        or not (guards_by_name(name) or (found["with"] is None and parts(name) <= _MIDDLE))
    ):
        return None
    return Guard("registration", parts(name) & _ALL, (name,), is_listed=found["with"] is None)


def _in_the_middle(name: str, register: str) -> bool:
    found = parts(name)
    if guards_by_name(name):
        return True
    if found & _OPPOSITE:
        return False
    if "Depends" in register or "Security" in register:
        return ("current" in found and "user" in found) or bool(found & {"auth", "token", "jwt", "oauth"})
    return bool(found & _MIDDLE) and (
        len(found) == 1 or bool(found & {"middleware", "guard", "filter", "handler", "layer", "use", "protection"})
    )


def _used(code: str) -> Guard | None:
    """A name that decides, called or asked; not one that is defined, assigned, or given as a key."""
    defined = _DECLARES.match(code)
    if defined and "class" not in defined[0].split():
        return None
    asks = _CONDITION.match(code) is not None
    names = _NAME.finditer(code, defined.end() if defined else 0)
    found = [match[0] for match in names if (guards_by_name(match[0]) if defined else _says(code, match, asks))]
    if not found and not defined:
        found = [
            match[0] for match in (_ASKED.search(code), asks and (_WHO.match(code) or _OWNED.search(code))) if match
        ]
    if not found:
        return None
    words = frozenset().union(*map(parts, found)) & _ALL
    return Guard("decorator" if defined else "condition" if asks else "call", words)


def _says(code: str, match: re.Match[str], asks: bool) -> bool:
    name = match[0]
    if not guards_by_name(name):
        return asks and bool(parts(name) & _COMPARED) and _COMPARES.search(code) is not None
    return _decides(name, code[match.end() : match.end() + 40].lstrip(), asks)


def _decides(name: str, following: str, asks: bool) -> bool:
    if name[-1] in "!?" or following[:2] == "::":
        return True
    if following[:1] == "=" and following[:2] not in ("==", "=>", "=~"):
        return False
    if following[:1] == ":" and following[1:].strip():
        return False
    return asks or (not (parts(name) & (_STATES | _MAKES)) and following[:1] in ("(", "!", "@"))
