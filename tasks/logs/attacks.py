"""Paths of known attacks, by a regular expression of the path without its query, in lower case.

None of them tells one number of several digits from another, see `request_groups`.

The list is ours; beside each stands the public entry that it comes from: a CVE, a CWE, or a rule of the OWASP Core Rule
Set (CRS 930130, "Restricted File Access Attempt", and 930100, "Path Traversal Attack").
"""

from typing import NamedTuple


class Attack(NamedTuple):
    """A path that has no business on a server, or a page that is attacked so often that asking for it tells enough."""

    name: str
    pattern: str
    source: str
    # What is lost at once when it is served; others may be the usual page of a product that is in use.
    is_a_leak: bool = False


ATTACKS = (
    Attack(
        "environment file",
        r"/\.env(?:$|[./_-])",
        "CWE-538, CRS 930130",
        is_a_leak=True,
    ),
    Attack(
        "version control",
        r"/\.(?:git|svn|hg|bzr)(?:/|$)",
        "CWE-527, CRS 930130",
        is_a_leak=True,
    ),
    Attack(
        "keys and credentials",
        r"/\.(?:aws|ssh|kube|docker|gnupg)/|/id_(?:rsa|ed\d+|dsa)|/\.(?:netrc|"
        r"npmrc|pgpass)$|/\.(?:htpasswd|htaccess)$|/\.git-credentials$",
        "CWE-522, CRS 930130",
        is_a_leak=True,
    ),
    Attack(
        "editor and system files",
        r"/\.(?:ds_store|vscode/|idea/|bash_history|mysql_history|psql_history)|"
        r"~$|\.(?:bak|swp|old|orig)$",
        "CWE-530, CRS 930130",
        is_a_leak=True,
    ),
    Attack(
        "database dump",
        r"\.(?:sql|dump|sqlite3?|mdb)(?:\.(?:gz|zip|zst|bz2))?$|/(?:backup|"
        r"dump|db)\.(?:zip|tar|tgz|tar\.gz)$",
        "CWE-530",
        is_a_leak=True,
    ),
    Attack(
        "path traversal",
        r"(?:^|/)\.\.(?:/|\\|$)|%2e%2e|/etc/(?:passwd|shadow)|/proc/self/|"
        r"/win\.ini$",
        "CWE-22, CVE-2021-41773, CRS 930100",
        is_a_leak=True,
    ),
    Attack(
        "log4shell",
        r"\$\{(?:jndi|lower|upper|env):",
        "CVE-2021-44228",
    ),
    Attack(
        "phpunit",
        r"/phpunit/.*eval-stdin\.php",
        "CVE-2017-9841",
    ),
    Attack(
        "laravel ignition",
        r"/_ignition/execute-solution",
        "CVE-2021-3129",
    ),
    Attack(
        "thinkphp",
        r"/index\.php/?.*invokefunction|/thinkphp",
        "CVE-2018-20062",
    ),
    Attack(
        "wordpress",
        r"/wp-(?:login\.php|admin|config|content|includes|json/wp/v2/users)|"
        r"/xmlrpc\.php$",
        "CVE-2017-1001000",
    ),
    Attack(
        "database administration",
        r"/(?:phpmyadmin|pma|adminer|mysqladmin|pgadmin)(?:[/.\-\d]|$)",
        "CVE-2021-21311",
    ),
    Attack(
        "shell",
        r"/cgi-bin/.*(?:sh$|\.cgi$|%)|/(?:shell|cmd|[cr]\d\d|webshell|alfa)\.(?:php|"
        r"jsp|aspx?)$",
        "CVE-2014-6271, CWE-506",
        is_a_leak=True,
    ),
    Attack(
        "router",
        r"/(?:boaform|hnap1|goform|setup\.cgi|gponform)(?:/|$)",
        "CVE-2018-10561, CVE-2015-2051",
    ),
    Attack(
        "tomcat",
        r"/(?:manager|host-manager)/html",
        "CVE-2017-12615",
    ),
    Attack(
        "spring actuator",
        r"/actuator/(?:env|heapdump|gateway|jolokia|threaddump)",
        "CVE-2022-22947",
        is_a_leak=True,
    ),
    Attack(
        "weblogic",
        r"/(?:console/(?:css|images)/|wls-wsat/|_async/)",
        "CVE-2020-14882, CVE-2017-10271",
    ),
    Attack(
        "solr",
        r"/solr/(?:admin|[^/]+/(?:dataimport|config|select))",
        "CVE-2019-17558",
    ),
    Attack(
        "geoserver",
        r"/geoserver/",
        "CVE-2024-36401",
    ),
    Attack(
        "jenkins",
        r"/scripttext(?:/|$)|/securityrealm/user/",
        "CVE-2018-1000861",
    ),
    Attack(
        "confluence",
        r"/(?:server-info\.action|setup/setupadministrator\.action|pages/doenterpagevariables\.action)",
        "CVE-2023-22515, CVE-2021-26084",
    ),
    Attack(
        "exchange",
        r"/(?:autodiscover/autodiscover\.json|ecp/|owa/auth)",
        "CVE-2021-34473",
    ),
    Attack(
        "vpn gateway",
        r"/(?:remote/(?:fgt_lang|logincheck|login)|dana-na/|global-protect/|"
        r"vpns?/\.\.|\+cscoe\+)",
        "CVE-2018-13379, CVE-2019-11510, CVE-2024-3400",
    ),
    Attack(
        "citrix",
        r"/(?:oauth/idp/\.well-known|nf/auth|vpn/index\.html)",
        "CVE-2023-4966",
    ),
    Attack(
        "debug page",
        r"/(?:server-status|phpinfo|info\.php|debug/(?:pprof|default)|telescope/requests|"
        r"_profiler|elmah\.axd|trace\.axd)",
        "CWE-489, CWE-215",
    ),
    Attack(
        "container interface",
        r"/(?:v1\.\d+/containers|containers/json|api/v1/(?:pods|secrets)$)",
        "CWE-306",
    ),
)
