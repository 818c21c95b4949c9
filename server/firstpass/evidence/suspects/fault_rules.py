"""Which added lines show a fault by themselves, as a table. Knows one line; what is around it, the callers ask."""

import re
from typing import NamedTuple, cast

from firstpass.evidence.suspects.suspicion import SuspectKind
from firstpass.evidence.trees.masking import Dialect

PRINTS = "Printing for debugging was left in: {}."
STOPS = "A breakpoint was left in: {}."
SKIPS = "A test is skipped: {}."
ALONE = "Only one test is left to run: {}."
SWALLOWS = "The error is swallowed: {}."
UNVERIFIED = "The verification of the other side is switched off: {}."
OPENED = "A protection is switched off: {}."
CROSS = "Every origin is let in: {}."
RUN = "Text becomes code or a command: {}."
LOADED = "Data that may run code is loaded: {}."
MARKUP = "Text becomes markup without escaping: {}."
QUERY = "A query is built by putting text together: {}."


class Rule(NamedTuple):
    """An added line that is told.

    words: one of them must stand in it. on_raw: the pattern sees what is in strings. tests: told in tests too.
    """

    kind: SuspectKind
    says: str
    words: tuple[str, ...]
    pattern: re.Pattern[str]
    dialects: frozenset[Dialect] | None = None
    on_raw: bool = False
    tests: bool = False


def _rule(
    kind: SuspectKind,
    says: str,
    words: str,
    pattern: str,
    dialects: str = "",
    *,
    on_raw: bool = False,
    tests: bool = False,
) -> Rule:
    """Words and dialects apart by blanks; no dialect means all."""
    only = frozenset(cast(list[Dialect], dialects.split())) or None
    return Rule(kind, says, tuple(words.split()), re.compile(pattern), only, on_raw, tests)


FAULTS: tuple[Rule, ...] = (
    _rule(
        "debugging",
        STOPS,
        "breakpoint set_trace debugger binding. byebug pdb dd( var_dump dbg!",
        r"^\s*(?:breakpoint\(\)|(?:import\s+)?(?:i?pdb|pudb|ipdb)(?:\s*;.*|\.set_trace\(.*)?$"
        r"|debugger\s*;?\s*$|binding\.(?:pry|irb)\b|byebug\s*$)|\b(?:i?pdb|pudb)\.set_trace\(",
        tests=True,
    ),
    _rule(
        "debugging",
        PRINTS,
        "var_dump print_r dd(",
        r"^\s*(?:var_dump|dd|dump|print_r)\(",
        "php",
    ),
    _rule(
        "debugging",
        PRINTS,
        "console.",
        r"(?<![\w.])console\.(?:log|dir|trace|table)\(",
        "javascript",
    ),
    _rule(
        "debugging",
        PRINTS,
        "dbg!",
        r"\bdbg!\(",
        "rust",
        tests=True,
    ),
    _rule(
        "debugging",
        PRINTS,
        "print",
        r"^\s*(?:e?print(?:ln)?!\()",
        "rust",
    ),
    _rule(
        "debugging",
        PRINTS,
        "print(",
        r"^\s*print\((?!.*\bfile\s*=)",
        "python swift",
    ),
    _rule(
        "debugging",
        PRINTS,
        "fmt.Print spew. println(",
        r"^\s*(?:fmt\.Print(?:ln|f)?|println|spew\.Dump)\(",
        "go",
    ),
    _rule(
        "debugging",
        PRINTS,
        "System. printStackTrace println(",
        r"\bSystem\.(?:out|err)\.print|\.printStackTrace\(\)|^\s*println\(",
        "java kotlin scala",
    ),
    _rule(
        "debugging",
        PRINTS,
        "Console.Write",
        r"\bConsole\.Write(?:Line)?\(",
        "csharp",
    ),
    _rule(
        "debugging",
        PRINTS,
        "puts p pp",
        r"^\s*(?:puts|pp|p)\s+\w",
        "ruby",
    ),
    _rule(
        "skipped-test",
        SKIPS,
        "skip xfail Skip",
        r"^\s*@(?:pytest\.mark\.(?:skip|xfail)\b(?!if|\.)|(?:unittest\.)?(?:skip|expectedFailure)\b(?!If"
        r"|Unless|\.))|^\s*pytestmark\s*=.*\bskip\b(?!if)",
        "python",
        tests=True,
    ),
    _rule(
        "skipped-test",
        SKIPS,
        "skip",
        r"^(?:\s{0,8})(?:pytest\.skip\(|self\.skipTest\()",
        "python",
        tests=True,
    ),
    _rule(
        "skipped-test",
        SKIPS,
        "skip xit xdescribe xtest todo",
        r"^\s*(?:(?:await\s+)?(?:it|test|describe|suite|context|t)\.(?:skip|fixme)\b(?!If)\s*[.(]|x(?:it"
        r"|describe|test|context)\()|\{\s*skip:\s*(?:true|['\"])",
        "javascript",
        tests=True,
    ),
    _rule(
        "skipped-test",
        ALONE,
        ".only fit( fdescribe(",
        r"^\s*(?:(?:it|test|describe|suite|context)\.only\b|f(?:it|describe)\()",
        "javascript",
        tests=True,
    ),
    _rule(
        "skipped-test",
        SKIPS,
        "Skip",
        r"^\s*[tb]\.Skip(?:f|Now)?\(",
        "go",
        tests=True,
    ),
    _rule(
        "skipped-test",
        SKIPS,
        "ignore",
        r"^\s*#\[ignore\b",
        "rust",
        tests=True,
    ),
    _rule(
        "skipped-test",
        SKIPS,
        "Disabled Ignore Skip enabled",
        r"^\s*@(?:Disabled|Ignore)\b(?!If|On|For)|^\s*\[(?:Ignore|Fact\(Skip|Test,\s*Ignore)"
        r"|\benabled\s*=\s*false\b.*@?Test|@Test\(\s*enabled\s*=\s*false",
        "csharp java kotlin scala",
        on_raw=True,
        tests=True,
    ),
    _rule(
        "skipped-test",
        SKIPS,
        "skip xit pending markTest",
        r"^\s*(?:xit|xdescribe|xcontext|pending|skip)\b(?!\s*=)|markTestSkipped\(",
        "php ruby",
        tests=True,
    ),
    _rule(
        "swallowed",
        SWALLOWS,
        "catch",
        r"\bcatch\s*(?:\([^)]{0,120}\)|\w{0,40})\s*\{\s*\}"
        r"|\.catch\(\s*(?:(?:async\s*)?\(?\w{0,40}\)?\s*=>\s*(?:\{\s*\}|null|undefined|void 0)|noop"
        r"|function\s*\(\w{0,40}\)\s*\{\s*\})\s*\)",
    ),
    _rule(
        "swallowed",
        SWALLOWS,
        "err",
        r"^\s*_\s*=\s*(?:err|error|e)\s*$|\berr\s*!=\s*nil\s*\{\s*\}",
        "go",
    ),
    _rule(
        "swallowed",
        SWALLOWS,
        "rescue suppress",
        r"\brescue\s+nil\b|\brescue\s*(?:=>\s*\w+)?\s*;\s*(?:nil\s*)?end"
        r"|\bsuppress\(\s*(?:Base)?Exception\s*\)",
        "python ruby",
    ),
    _rule(
        "swallowed",
        SWALLOWS,
        "Err(_)",
        r"\bErr\(_\w*\)\s*=>\s*(?:\{\s*\}|\(\))",
        "rust",
    ),
    _rule(
        "swallowed",
        SWALLOWS,
        "true ||:",
        r"^\s*set \+e\b",
        "shell",
    ),
    _rule(
        "swallowed",
        SWALLOWS,
        "Error error_reporting @",
        r"\berror_reporting\(\s*0\s*\)",
        "php",
    ),
)
"""What was forgotten in the code, or hides an error, or keeps a test from running."""

EXPOSURES: tuple[Rule, ...] = (
    _rule(
        "authorization",
        UNVERIFIED,
        "erif heck_hostname alidate_cert rejectUnauthorized",
        r"\b(?:verify|verify_ssl|ssl_verify|sslVerify|verify_certs?|verify_tls|check_hostname|validate_certs?"
        r"|tls_verify|verify_signature|verify_peer|verify_host|verify_exp"
        r"|rejectUnauthorized)\b['\"]?\]?\s*(?:=>|=(?!=)|:(?!:))\s*(?:False|false|FALSE|0|no|off)\b"
        r"|CURLOPT_SSL_VERIFY(?:PEER|HOST)\W+(?:false|0)",
        on_raw=True,
    ),
    _rule(
        "authorization",
        UNVERIFIED,
        "InsecureSkipVerify CERT_NONE _unverified_context REJECT_UNAUTHORIZED danger VERIFY_NONE "
        "Hostname HostKey TrustAll CertificateCustomValidation --insecure curl no-check-certificate "
        "AutoAddPolicy strict-ssl",
        r"\bInsecureSkipVerify['\"]?\s*[:=]\s*true|(?<![!=]=\s)\bCERT_NONE\b|_create_unverified_context"
        r"|TLS_REJECT_UNAUTHORIZED\b['\"]?\]?\s*[:=]\s*['\"]?0|\bdanger_accept_invalid_(?:certs"
        r"|hostnames)\(\s*true|\bVERIFY_NONE\b|\bNoopHostnameVerifier\b|ALLOW_ALL_HOSTNAME|\bTrustAll\w*\b"
        r"|ostnameVerifier\(?\s*\{?\(?\s*_?\w*,\s*_?\w*\s*\)?\s*->\s*true"
        r"|ServerCertificateCustomValidationCallback\s*[+=]+.*true|DangerousAcceptAnyServerCertificate"
        r"|\bcurl\b[^|;]{0,160}?(?:\s-[a-zA-Z]*k\b|--insecure\b)|--no-check-certificate\b"
        r"|StrictHostKeyChecking[= ]+no\b|\bInsecureIgnoreHostKey\(|\bAutoAddPolicy\b"
        r"|strict-ssl\s*[= ]\s*false",
        on_raw=True,
    ),
    _rule(
        "authorization",
        OPENED,
        "xempt csrf AllowAny permitAll PermitAll Anonymous skip_ without _classes Public( _COOKIE_ "
        "ttpOnly httponly 777 none autoescape --no-verify DEBUG nonymous",
        r"@csrf_exempt\b|\bcsrf_exempt\(|\bcsrf\(\)\s*\.disable\(|\bcsrf\b[^;]{0,40}?(?:disable\b"
        r"|->\s*\w+\.disable)|\bAllowAny\b|\.?permitAll\b|@PermitAll\b|\[AllowAnonymous|\.AllowAnonymous\("
        r"|\bskip_before_(?:action|filter)\b|\bskip_(?:authorization|authorize_resource"
        r"|load_and_authorize_resource)\b|\bwithoutMiddleware\(|\b(?:permission|authentication"
        r"|throttle)_classes\s*=\s*(?:\[\s*\]|\(\s*\))|^\s*@Public\(\)|\b(?:SESSION|CSRF)_COOKIE_(?:SECURE"
        r"|HTTPONLY)\s*=\s*(?:False|false|FALSE|0|no|off)\b|\bhttp_?[oO]nly['\"]?\s*[:=]\s*(?:False|false"
        r"|FALSE|0|no|off)\b|\bchmod\b[^;|]{0,40}?\b0?o?777\b|\b(?:Chmod|MkdirAll|mkdir|makedirs"
        r"|chmod)\(.{0,80}\b0o?777\b|\balgorithms?['\"]?\s*[=:]\s*\[?\s*['\"]none\b"
        r"|\bautoescape\b\s*[=: ]\s*(?:False|false|off)\b|\bgit\s[^|;]{0,80}--no-verify\b|^DEBUG\s*=\s*True\b",
        on_raw=True,
    ),
    _rule(
        "authorization",
        CROSS,
        "Allow-Origin llow_origin CORS origin AllowAnyOrigin AllowAllOrigins CrossOrigin Origins",
        r"Access-Control-Allow-Origin['\"]?\]?\s*[,:=]\s*['\"]?\*"
        r"|\ballow_origins?\w*['\"]?\s*[=:(]+\s*\[?\s*['\"]\*|\bCORS_(?:ORIGIN_ALLOW_ALL"
        r"|ALLOW_ALL_ORIGINS)\s*=\s*True|\borigins?['\"]?\s*[:=]\s*\[?['\"]\*['\"]|\bAllowAnyOrigin\("
        r"|\bAllowAllOrigins\s*[:=]\s*true|\bAllowOrigins\s*[:=]\s*\[\]string\{\s*\"\*\""
        r"|\bAllowedOrigins\s*[:=]\s*\[\]string\{\s*\"\*\"|\ballowedOrigins\(\s*\"\*\"|CorsLayer::permissive\(",
        on_raw=True,
    ),
    _rule(
        "injection",
        RUN,
        "eval( exec( Function(",
        r"(?<![\w.$>:])(?:eval|exec)\((?!\s*(?:\)|''\)|\"\"\)|``\)))|\bnew\s+Function\(",
        "javascript php python ruby",
    ),
    _rule(
        "injection",
        RUN,
        "shell os.system os.popen",
        r"\bshell\s*=\s*True\b|\bos\.(?:system|popen)\((?!\s*(?:\"\"|'')\s*\))",
        "python",
    ),
    _rule(
        "injection",
        RUN,
        "exec spawn system Command(",
        r"\b(?:exec|execSync|spawn|spawnSync)\(\s*(?:`[^`]{0,200}\$\{|['\"][^'\"]{0,200}['\"]\s*\+)"
        r"|\bexec\.Command\(\s*\"(?:ba)?sh\",\s*\"-c\",(?!\s*\"[^\"]*\"\s*\))"
        r"|getRuntime\(\)\.exec\([^)]{0,120}\+|\b(?:system|shell_exec|passthru"
        r"|popen)\(\s*(?:['\"][^'\"]{0,120}['\"]\s*\.|\$|\"[^\"]{0,120}(?:#\{|\$))",
        "c go java javascript kotlin php ruby",
        on_raw=True,
    ),
    _rule(
        "injection",
        LOADED,
        "load unserialize ObjectInputStream BinaryFormatter",
        r"\b(?:c?[pP]ickle|dill|marshal|shelve|jsonpickle)\.(?:loads?|decode)\(|\byaml\.(?:unsafe_load"
        r"|full_load)\w*\(|\byaml\.load\((?!.*Safe)(?!.*[lL]oader)|\bunserialize\(|\bnew\s+ObjectInputStream\("
        r"|\bMarshal\.load\(|\bBinaryFormatter\b|\bYAML\.(?:unsafe_)?load\(",
        "csharp java kotlin php python ruby",
    ),
    _rule(
        "injection",
        MARKUP,
        "nnerHTML outerHTML dangerously v-html document.write insertAdjacentHTML mark_safe safe Html.Raw "
        "template.HTML bypassSecurity @html raw(",
        r"\.(?:inner|outer)HTML\s*\+?=(?!=)(?!\s*(?:'[^'<]*'|\"[^\"<]*\"|`[^`$<]*`)\s*;?\s*$)"
        r"|\bdangerouslySetInnerHTML\b|\bv-html=|\bdocument\.write(?:ln)?\(|\.insertAdjacentHTML\("
        r"|\bmark_safe\((?!\s*['\"][^'\"]*['\"]\s*\))|\{\{[^}]{0,80}\|\s*safe\b|\.html_safe\b|\bHtml\.Raw\("
        r"|\btemplate\.HTML\((?!\s*\")|\bbypassSecurityTrust\w+\(|\{@html\b",
        on_raw=True,
    ),
    _rule(
        "injection",
        QUERY,
        "SELECT INSERT UPDATE DELETE select insert update delete",
        r"(?:\b[fFrR]['\"]{1,3}[^'\"]{0,20}|[$@]{1,2}\"|`|['\"]{1,3})\s*(?i:SELECT\s.{1,120}\sFROM\s"
        r"|INSERT\s+INTO\s|UPDATE\s+\S+\s+SET\s|DELETE\s+FROM\s)",
        on_raw=True,
    ),
    _rule(
        "injection",
        "A password is hashed with a weak hash: {}.",
        "md5 MD5 sha1 SHA1 SHA-1",
        r"(?i:(?:md5|sha-?1)\b.{0,80}passw|passw.{0,80}\b(?:md5|sha-?1)\b)",
        on_raw=True,
    ),
    _rule(
        "injection",
        "A secret is made from numbers that can be guessed: {}.",
        "random rand",
        r"(?i:(?:token|secret|passw|nonce|otp|session_?id"
        r"|api_?key)\w{0,20}\s*(?::\s*\w+\s*)?:?=)[^=].{0,60}(?:\bMath\.random\(|(?<![\w.])random\.(?:random"
        r"|choices?|randint|randrange)\(|\bmt_rand\(|\brand\(\)|\bnew Random\()",
    ),
)
"""What switches a protection off, or lets text become code, a command, a query or markup."""
