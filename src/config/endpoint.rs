//! `endpoint_url` (RFC 3986, the part of it that an API needs) and what counts as loopback.
//!
//! What passes goes into a request as it is, so nothing that could end a line or a request target gets through. The
//! texts here never quote the URL: user info and query may be secrets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{
    model::Endpoint,
    problem::{Wrong, quoted},
};

/// Takes the URL apart.
pub(super) fn parse(text: &str) -> Result<Endpoint, Wrong> {
    let (tls, rest) = scheme(text)?;
    if !text.bytes().all(|byte| byte.is_ascii_graphic() && !br#""<>\^`{|}"#.contains(&byte)) {
        return Err(Wrong::new("the URL has a character that a URL cannot have").help(
            "percent-encode it, such as %20 for a blank; write a host name in its ASCII form (xn--…)",
        ));
    }
    if rest.contains('#') {
        return Err(
            Wrong::new("the URL has a fragment").help("remove `#` and what follows; it is never sent")
        );
    }
    let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err(
            Wrong::new("the URL has user info").help("put user name and password into `authentication`")
        );
    }
    let (host, port) = host_and_port(authority)?;
    let standard = if tls { 443 } else { 80 };
    let port = match port {
        Some(digits) => self::port(digits)?,
        None => standard,
    };
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    if !escapes_are_whole(target) {
        return Err(Wrong::new("the URL has a `%` without two hexadecimal digits")
            .help("write %25 for a percent sign"));
    }
    let shown = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    Ok(Endpoint {
        tls,
        authority: if port == standard { shown } else { format!("{shown}:{port}") },
        host,
        port,
        path: if path.is_empty() { "/".to_owned() } else { path.to_owned() },
        query: query.map(str::to_owned),
    })
}

/// Whether the query has a parameter `code`, in any letter case.
pub(super) fn has_code(endpoint: &Endpoint) -> bool {
    let name =
        |pair: &str| pair.split('=').next().map(|name| percent_encoding::percent_decode_str(name).collect());
    endpoint
        .query
        .iter()
        .flat_map(|query| query.split('&'))
        .filter_map(name)
        .any(|name: Vec<u8>| name.eq_ignore_ascii_case(b"code"))
}

/// `localhost`, 127.0.0.0/8 and `::1`: what never leaves the machine.
pub(super) fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(is_loopback_address)
}

/// 127.0.0.0/8 and `::1`, also where IPv4 is written as IPv6.
pub(super) fn is_loopback_address(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

fn scheme(text: &str) -> Result<(bool, &str), Wrong> {
    for (scheme, tls) in [("https://", true), ("http://", false)] {
        if let Some((start, rest)) = text.split_at_checked(scheme.len())
            && start.eq_ignore_ascii_case(scheme)
        {
            return Ok((tls, rest));
        }
    }
    Err(Wrong::new("this is not an absolute http or https URL").help("write https://HOST/PATH"))
}

fn host_and_port(authority: &str) -> Result<(String, Option<&str>), Wrong> {
    let wrong = || {
        Wrong::new("the URL has no valid host")
            .help("write a DNS name, an IPv4 address, or an IPv6 address in brackets")
    };
    if let Some(rest) = authority.strip_prefix('[') {
        let (address, after) = rest.split_once(']').ok_or_else(wrong)?;
        let address: Ipv6Addr = address.parse().map_err(|_| wrong())?;
        let port = match after.strip_prefix(':') {
            Some(port) => Some(port),
            None if after.is_empty() => None,
            None => return Err(wrong()),
        };
        return Ok((address.to_string(), port));
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let valid = is_dns_name(host) || host.parse::<Ipv4Addr>().is_ok();
    if valid { Ok((host.to_ascii_lowercase(), port)) } else { Err(wrong()) }
}

/// `server_name`: a DNS name, which no address is.
pub(super) fn server_name(text: &str) -> Result<String, Wrong> {
    if !is_dns_name(text) {
        return Err(Wrong::new(format!("{} is not a DNS name", quoted(text)))
            .help("write a name such as api.contoso.com, without scheme, port or dot at its end"));
    }
    Ok(text.to_ascii_lowercase())
}

/// Whether it is the name of a host. What ends in a number is an IPv4 address or nothing (URL Standard, "ends in a
/// number").
pub(super) fn is_dns_name(text: &str) -> bool {
    let last = text.rsplit('.').next().unwrap_or_default();
    let numeric = last.bytes().all(|byte| byte.is_ascii_digit());
    !numeric && text.len() <= 253 && text.split('.').all(is_label)
}

/// A label of a DNS name (RFC 1123 section 2.1), and the underscore that container networks use.
fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn port(digits: &str) -> Result<u16, Wrong> {
    Some(digits)
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|digits| digits.parse().ok())
        .filter(|port| *port != 0)
        .ok_or_else(|| {
            Wrong::new("the URL has no valid port").help("1 to 65535, or leave it and the colon out")
        })
}

fn escapes_are_whole(text: &str) -> bool {
    text.split('%')
        .skip(1)
        .all(|after| after.len() >= 2 && after.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_url_is_taken_apart() {
        for (url, tls, host, port, authority, path, query) in [
            ("https://a.example/x", true, "a.example", 443, "a.example", "/x", None),
            ("HTTP://A.Example", false, "a.example", 80, "a.example", "/", None),
            ("https://a.example:443?x=1", true, "a.example", 443, "a.example", "/", Some("x=1")),
            ("https://a.example:80/x?", true, "a.example", 80, "a.example:80", "/x", Some("")),
            (
                "http://127.0.0.1:8080/a/b?c=d&e=/?",
                false,
                "127.0.0.1",
                8080,
                "127.0.0.1:8080",
                "/a/b",
                Some("c=d&e=/?"),
            ),
            ("http://[::1]:81/", false, "::1", 81, "[::1]:81", "/", None),
            ("https://[2001:DB8::0]/", true, "2001:db8::", 443, "[2001:db8::]", "/", None),
            ("http://my_api:81/%C3%A9", false, "my_api", 81, "my_api:81", "/%C3%A9", None),
        ] {
            let expected = Endpoint {
                tls,
                host: host.into(),
                port,
                authority: authority.into(),
                path: path.into(),
                query: query.map(str::to_owned),
            };
            assert_eq!(parse(url).ok(), Some(expected), "{url}");
        }
    }

    #[test]
    fn what_could_not_be_sent_as_it_is_is_refused() {
        for (url, part) in [
            ("", "absolute"),
            ("a.example/x", "absolute"),
            ("//a.example", "absolute"),
            ("ftp://a.example", "absolute"),
            ("https:/a.example", "absolute"),
            ("https://", "host"),
            ("https:///x", "host"),
            ("https://:80", "host"),
            ("https://a..b", "host"),
            ("https://a.example.", "host"),
            ("https://-a", "host"),
            ("https://1.2.3", "host"),
            ("https://256.1.1.1", "host"),
            ("https://[::1", "host"),
            ("https://[::1]x", "host"),
            ("https://[fe80::1%25eth0]", "host"),
            ("https://a%41", "host"),
            ("https://a:0", "port"),
            ("https://a:", "port"),
            ("https://a:65536", "port"),
            ("https://a:+80", "port"),
            ("https://u:p@a", "user info"),
            ("https://u@a/x", "user info"),
            ("https://a/x#y", "fragment"),
            ("https://a/x?y#z", "fragment"),
            ("https://a/ x", "character"),
            ("https://a/é", "character"),
            ("https://é.example", "character"),
            ("https://a/\r\nHost: b", "character"),
            ("https://a/\u{7f}", "character"),
            ("https://a\\b", "character"),
            ("https://a/{x}", "character"),
            ("https://a/%", "%"),
            ("https://a/%4", "%"),
            ("https://a/?x=%zz", "%"),
        ] {
            let wrong = parse(url).expect_err(url);
            assert!(wrong.message.contains(part), "{url}: {}", wrong.message);
        }
    }

    #[test]
    fn a_code_in_the_query_is_found_however_it_is_written() {
        for (query, expected) in [
            ("code=x", true),
            ("a=b&code=x", true),
            ("Code", true),
            ("c%6Fde=x", true),
            ("codes=x", false),
            ("a=code", false),
            ("", false),
        ] {
            assert_eq!(has_code(&parse(&format!("https://a/?{query}")).unwrap()), expected, "{query}");
        }
    }

    #[test]
    fn loopback_is_what_never_leaves_the_machine() {
        for host in ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["0.0.0.0", "::", "10.0.0.1", "localhost.example", "128.0.0.1", ""] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
