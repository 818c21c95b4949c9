"""Lines that a diff adds and that switch a protection off, or let text become code, a command, a query or markup.

Knows lines and words, no grammar. What stood in the same file before is not told again.
"""

import re
from collections.abc import Callable, Iterator, Sequence

from firstpass.evidence.authority import guards_by_name
from firstpass.evidence.blocks import defined, squeezed
from firstpass.evidence.kept import Kept, Reading
from firstpass.evidence.leftovers import Rule, found, may_apply
from firstpass.evidence.masking import Dialect, Masked
from firstpass.evidence.suspicion import Suspect, quoted

_CUT = 400
_FALSE = r"(?:False|false|FALSE|0|no|off)\b"
_UNVERIFIED = "The verification of the other side is switched off: {}."
_OPENED = "A protection is switched off: {}."
_CROSS = "Every origin is let in: {}."
_RUN = "Text becomes code or a command: {}."
_LOADED = "Data that may run code is loaded: {}."
_MARKUP = "Text becomes markup without escaping: {}."
_QUERY = "A query is built by putting text together: {}."


def _only(*names: Dialect) -> frozenset[Dialect]:
    return frozenset(names)


RULES: tuple[Rule, ...] = (
    Rule(
        "authorization", _UNVERIFIED, ("erif", "heck_hostname", "alidate_cert", "rejectUnauthorized"),
        re.compile(
            r"\b(?:verify|verify_ssl|ssl_verify|sslVerify|verify_certs?|verify_tls|check_hostname|validate_certs?|tls_verify"
            rf"|verify_signature|verify_peer|verify_host|verify_exp|rejectUnauthorized)\b['\"]?\]?\s*(?:=>|=(?!=)|:(?!:))\s*{_FALSE}"
            r"|CURLOPT_SSL_VERIFY(?:PEER|HOST)\W+(?:false|0)"
        ), on_raw=True,
    ),
    Rule(
        "authorization", _UNVERIFIED,
        ("InsecureSkipVerify", "CERT_NONE", "_unverified_context", "REJECT_UNAUTHORIZED", "danger", "VERIFY_NONE", "Hostname",
         "HostKey", "TrustAll", "CertificateCustomValidation", "--insecure", "curl", "no-check-certificate", "AutoAddPolicy", "strict-ssl"),
        re.compile(
            r"\bInsecureSkipVerify['\"]?\s*[:=]\s*true|(?<![!=]=\s)\bCERT_NONE\b|_create_unverified_context"
            r"|TLS_REJECT_UNAUTHORIZED\b['\"]?\]?\s*[:=]\s*['\"]?0|\bdanger_accept_invalid_(?:certs|hostnames)\(\s*true|\bVERIFY_NONE\b"
            r"|\bNoopHostnameVerifier\b|ALLOW_ALL_HOSTNAME|\bTrustAll\w*\b|ostnameVerifier\(?\s*\{?\(?\s*_?\w*,\s*_?\w*\s*\)?\s*->\s*true"
            r"|ServerCertificateCustomValidationCallback\s*[+=]+.*true|DangerousAcceptAnyServerCertificate"
            r"|\bcurl\b[^|;]{0,160}?(?:\s-[a-zA-Z]*k\b|--insecure\b)|--no-check-certificate\b|StrictHostKeyChecking[= ]+no\b"
            r"|\bInsecureIgnoreHostKey\(|\bAutoAddPolicy\b|strict-ssl\s*[= ]\s*false"
        ), on_raw=True,
    ),
    Rule(
        "authorization", _OPENED,
        ("xempt", "csrf", "AllowAny", "permitAll", "PermitAll", "Anonymous", "skip_", "without", "_classes", "Public(", "_COOKIE_",
         "ttpOnly", "httponly", "777", "none", "autoescape", "--no-verify", "DEBUG", "nonymous"),
        re.compile(
            r"@csrf_exempt\b|\bcsrf_exempt\(|\bcsrf\(\)\s*\.disable\(|\bcsrf\b[^;]{0,40}?(?:disable\b|->\s*\w+\.disable)|\bAllowAny\b|\.?permitAll\b|@PermitAll\b"
            r"|\[AllowAnonymous|\.AllowAnonymous\(|\bskip_before_(?:action|filter)\b|\bskip_(?:authorization|authorize_resource|load_and_authorize_resource)\b"
            r"|\bwithoutMiddleware\(|\b(?:permission|authentication|throttle)_classes\s*=\s*(?:\[\s*\]|\(\s*\))|^\s*@Public\(\)"
            rf"|\b(?:SESSION|CSRF)_COOKIE_(?:SECURE|HTTPONLY)\s*=\s*{_FALSE}|\bhttp_?[oO]nly['\"]?\s*[:=]\s*{_FALSE}"
            r"|\bchmod\b[^;|]{0,40}?\b0?o?777\b|\b(?:Chmod|MkdirAll|mkdir|makedirs|chmod)\(.{0,80}\b0o?777\b"
            r"|\balgorithms?['\"]?\s*[=:]\s*\[?\s*['\"]none\b|\bautoescape\b\s*[=: ]\s*(?:False|false|off)\b|\bgit\s[^|;]{0,80}--no-verify\b"
            r"|^DEBUG\s*=\s*True\b"
        ), on_raw=True,
    ),
    Rule(
        "authorization", _CROSS, ("Allow-Origin", "llow_origin", "CORS", "origin", "AllowAnyOrigin", "AllowAllOrigins", "CrossOrigin", "Origins"),
        re.compile(
            r"Access-Control-Allow-Origin['\"]?\]?\s*[,:=]\s*['\"]?\*|\ballow_origins?\w*['\"]?\s*[=:(]+\s*\[?\s*['\"]\*|\bCORS_(?:ORIGIN_ALLOW_ALL"
            r"|ALLOW_ALL_ORIGINS)\s*=\s*True|\borigins?['\"]?\s*[:=]\s*\[?['\"]\*['\"]|\bAllowAnyOrigin\(|\bAllowAllOrigins\s*[:=]\s*true"
            r"|\bAllowOrigins\s*[:=]\s*\[\]string\{\s*\"\*\"|\bAllowedOrigins\s*[:=]\s*\[\]string\{\s*\"\*\"|\ballowedOrigins\(\s*\"\*\"|CorsLayer::permissive\("
        ), on_raw=True,
    ),
    Rule("injection", _RUN, ("eval(", "exec(", "new Function("), re.compile(r"(?<![\w.$>:])(?:eval|exec)\((?!\s*(?:\)|''\)|\"\"\)|``\)))|\bnew\s+Function\("), _only("python", "javascript", "php", "ruby")),
    Rule("injection", _RUN, ("shell", "os.system", "os.popen"), re.compile(r"\bshell\s*=\s*True\b|\bos\.(?:system|popen)\("), _only("python")),
    Rule(
        "injection", _RUN, ("exec", "spawn", "system", "Command("),
        re.compile(
            r"\b(?:exec|execSync|spawn|spawnSync)\(\s*(?:`[^`]{0,200}\$\{|['\"][^'\"]{0,200}['\"]\s*\+)|\bexec\.Command\(\s*\"(?:ba)?sh\",\s*\"-c\",(?!\s*\"[^\"]*\"\s*\))"
            r"|getRuntime\(\)\.exec\([^)]{0,120}\+|\b(?:system|shell_exec|passthru|popen)\(\s*(?:['\"][^'\"]{0,120}['\"]\s*\.|\$|\"[^\"]{0,120}(?:#\{|\$))"
        ), _only("javascript", "go", "java", "kotlin", "php", "ruby", "c"), on_raw=True,
    ),
    Rule(
        "injection", _LOADED, ("load", "unserialize", "ObjectInputStream", "BinaryFormatter"),
        re.compile(
            r"\b(?:c?[pP]ickle|dill|marshal|shelve|jsonpickle)\.(?:loads?|decode)\(|\byaml\.(?:unsafe_load|full_load)\w*\(|\byaml\.load\((?!.*Safe)(?!.*[lL]oader)"
            r"|\bunserialize\(|\bnew\s+ObjectInputStream\(|\bMarshal\.load\(|\bBinaryFormatter\b|\bYAML\.(?:unsafe_)?load\("
        ), _only("python", "php", "java", "kotlin", "ruby", "csharp"),
    ),
    Rule(
        "injection", _MARKUP,
        ("nnerHTML", "outerHTML", "dangerously", "v-html", "document.write", "insertAdjacentHTML", "mark_safe", "safe", "Html.Raw", "template.HTML", "bypassSecurity", "@html", "raw("),
        re.compile(
            r"\.(?:inner|outer)HTML\s*\+?=(?!=)(?!\s*(?:'[^'<]*'|\"[^\"<]*\"|`[^`$<]*`)\s*;?\s*$)|\bdangerouslySetInnerHTML\b|\bv-html=|\bdocument\.write(?:ln)?\(|\.insertAdjacentHTML\("
            r"|\bmark_safe\((?!\s*['\"][^'\"]*['\"]\s*\))|\{\{[^}]{0,80}\|\s*safe\b|\.html_safe\b|\bHtml\.Raw\(|\btemplate\.HTML\((?!\s*\")|\bbypassSecurityTrust\w+\(|\{@html\b"
        ), on_raw=True,
    ),
    Rule(
        "injection", _QUERY, ("SELECT ", "INSERT ", "UPDATE ", "DELETE ", "select ", "insert ", "update ", "delete "),
        re.compile(
            r"(?:\b[fFrR]['\"]{1,3}[^'\"]{0,20}|[$@]{1,2}\"|`|['\"]{1,3})\s*(?i:SELECT\s.{1,120}\sFROM\s|INSERT\s+INTO\s|UPDATE\s+\S+\s+SET\s|DELETE\s+FROM\s)"
        ), on_raw=True,
    ),
    Rule(
        "injection", "A password is hashed with a weak hash: {}.", ("md5", "MD5", "sha1", "SHA1", "SHA-1"),
        re.compile(r"(?i:(?:md5|sha-?1)\b.{0,80}passw|passw.{0,80}\b(?:md5|sha-?1)\b)"), on_raw=True,
    ),
    Rule(
        "injection", "A secret is made from numbers that can be guessed: {}.", ("random", "rand"),
        re.compile(r"(?i:(?:token|secret|passw|nonce|otp|session_?id|api_?key)\w{0,20}\s*(?::\s*\w+\s*)?:?=)[^=].{0,60}(?:\bMath\.random\(|(?<![\w.])random\.(?:random|choices?|randint|randrange)\(|\bmt_rand\(|\brand\(\)|\bnew Random\()"),
    ),
)  # fmt: skip

_BUILT = re.compile(
    r"\bf['\"].*\{|\$\{|#\{|['\"]\s*\+\s*[\w(]|['\"]\s*%\s*[\w(]|\.format\(|Sprintf\(.*%[svdq]|['\"]\s*\.\s*\$|\$\"[^\"]*\{|\bformat!\(|\"[^\"]*\$\w"
)
_TRUE = re.compile(
    r"(?:\|\|\s*true\b(?!\s*[;)\"']*\s*$)|\bif\s*\(?\s*(?:True|true|1)\s*(?:\bor\b|\|\|)|\bor\s+True\b|\bif\s*\(?\s*(?:False|false|0)\s*(?:\band\b|&&)|&&\s*false\b|\band\s+False\b)"
)
_PLAIN_HTTP = re.compile(r"http://(?P<host>[\w-]+(?:\.[\w-]+)+)")
_SECURE = re.compile(r"https://(?P<host>[\w-]+(?:\.[\w-]+)+)")
_ALWAYS = re.compile(
    r"^[ \t]*(?:return\s+(?:True|true|nil|null|Ok\(\(\)\)|Ok\(true\))|(?:return\s+)?next\(\)|true|True)[ \t]*;?[ \t\r]*$",
    re.M,
)
_CONSTANTS = (
    "|| true",
    "or True",
    "true ||",
    "True or",
    "false &&",
    "False and",
    "&& false",
    "and False",
    "1 ||",
    "0 &&",
)
_AGREES = ("return True", "return true", "return nil", "return null", "next()", "Ok(())", "Ok(true)", "true", "True")
_RETURNS = re.compile(r"\s*(?:return|raise|throw|if)\b")


def exposures(kept: Kept) -> Iterator[Suspect]:
    text = kept.added_text
    active = [(rule, words) for rule in RULES if (words := [word for word in rule.words if word in text])]
    finders = [find for find, words in _FINDERS if any(word in text for word in words)]
    for file in kept.files if active or finders else ():
        if not file.is_test and file.added_text:
            yield from _by_rule(file, active)
            for find in finders:
                yield from find(file, kept)


def _by_rule(file: Reading, active: Sequence[tuple[Rule, list[str]]]) -> Iterator[Suspect]:
    mine = [
        rule_and_words
        for rule_and_words in active
        if (rule_and_words[0].dialects is None or file.dialect in rule_and_words[0].dialects)
        and not (file.only_shows and (rule_and_words[0].kind == "injection" or rule_and_words[0].says is _OPENED))
    ]
    words = {word for _, found in mine for word in found}
    for hunk in file.hunks if words else ():
        for row in hunk.added_rows(words, lambda line: any(may_apply(rule, words, line) for rule, words in mine)):
            yield from _of_row(file, hunk, row, mine)


def _of_row(file: Reading, hunk: Masked, row: int, active: Sequence[tuple[Rule, list[str]]]) -> Iterator[Suspect]:
    after = hunk.after
    for rule, words in active:
        text = (after.raw if rule.on_raw else after.code)[row][:_CUT]
        if not any(word in text for word in words):
            continue
        match = rule.pattern.search(text)
        if not match or squeezed(match[0]) in file.removed_squeezed:
            continue
        if rule.says is _QUERY and not _BUILT.search(text):
            continue
        if rule.says is _RUN and defined(hunk.dialect, text) in ("eval", "exec"):
            continue
        yield found(rule.kind, file.path, hunk, row, rule.says.format(quoted(after.raw[row])))
        return


def _downgraded(file: Reading, kept: Kept) -> Iterator[Suspect]:
    """`https://` that became `http://` for the same host."""
    hosts = {match["host"] for match in _SECURE.finditer(file.removed_text)} if "http://" in file.added_text else ()
    for hunk in file.hunks_that_add(("http://",)) if hosts else ():
        for row in hunk.added_rows(("http://",), lambda line: _PLAIN_HTTP.search(line[:_CUT])):
            match = _PLAIN_HTTP.search(hunk.after.raw[row][:_CUT])
            if match and match["host"] in hosts:
                text = f"An address lost its encryption: {quoted(match[0])}."
                yield found("authorization", file.path, hunk, row, text, 10)


def _always(file: Reading, kept: Kept) -> Iterator[Suspect]:
    """A condition that was made always true or always false."""
    for hunk in file.hunks_that_add(_CONSTANTS) if file.dialect != "shell" else ():
        for row in hunk.added_rows(_CONSTANTS, lambda line: _TRUE.search(line[:_CUT])):
            if _TRUE.search(hunk.after.code[row][:_CUT]):
                text = f"The condition is always the same: {quoted(hunk.after.raw[row])}."
                yield found("leftover", file.path, hunk, row, text)


def _agreeing(file: Reading, kept: Kept) -> Iterator[Suspect]:
    """A guarding function that now always agrees."""
    for hunk in file.hunks_that_add(_AGREES) if file.removed_text else ():
        for row in hunk.added_rows(_AGREES, lambda line: _ALWAYS.match(line[:_CUT])):
            if _ALWAYS.match(hunk.after.code[row][:_CUT]) and _stands_alone(hunk, kept, row):
                owner = kept.of(hunk).scope(hunk.after, row).owner
                if owner and guards_by_name(owner):
                    text = f"The check {quoted(owner, 40)} now always agrees: {quoted(hunk.after.raw[row])}."
                    yield found("authorization", file.path, hunk, row, text)


def _stands_alone(hunk: Masked, kept: Kept, row: int) -> bool:
    """Whether an added line took the place of lines that decided something."""
    run = hunk.runs[hunk.after.places[row]]
    gone = (one for one in hunk.changed(hunk.before) if hunk.runs[hunk.before.places[one]] == run)
    return len(kept.of(hunk).added_by_run.get(run, ())) == 1 and any(
        _RETURNS.match(hunk.before.code[one]) for one in gone
    )


_FINDERS: tuple[tuple[Callable[[Reading, Kept], Iterator[Suspect]], tuple[str, ...]], ...] = (
    (_downgraded, ("http://",)),
    (_always, _CONSTANTS),
    (_agreeing, _AGREES),
)
"""Each with the words of which one must stand on an added line."""
