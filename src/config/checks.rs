//! The checks behind [`Settings`](crate::config::Settings): one function a flag or a group of flags that bound each
//! other. A check reads a file's presence at most, never its content.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ipnet::IpNet;

use crate::api::vocab::{Line, NetworkType, WorkMode};
use crate::config::{Authority, FirstNode, Flags, Listen, Log, LogFormat};
use crate::domain::addresses;
use crate::domain::names::{DnsName, FieldError};
use crate::domain::scope::Scope;

/// A host's name made into an object's name: its first label, lower case, what is not allowed replaced by a hyphen.
pub fn object_name(text: &str) -> String {
    let label = text.split('.').next().unwrap_or_default();
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = label.chars().map(plain).take(63).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "node".to_owned() } else { name.to_owned() }
}

/// Whether `text` can name an object (RFC 1123 subdomain); `flag` names the input in the refusal.
pub fn check_object_name(flag: &str, text: &str) -> Result<String, FieldError> {
    let label = |label: &str| {
        let inside = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        !label.is_empty() && label.bytes().all(inside) && !label.starts_with('-') && !label.ends_with('-')
    };
    if text.len() <= 253 && text.split('.').all(label) {
        return Ok(text.to_owned());
    }
    let why = format!(
        "{text:?} can't name an object: use lower-case letters, digits, hyphens and dots, e.g. shanghai"
    );
    Err(FieldError::new(flag, why))
}

/// A base URL as peers use it: http or https, a host, no query, no trailing slash in the result.
pub fn check_base_url(flag: &str, text: &str) -> Result<String, FieldError> {
    let bad =
        |why: &str| Err(FieldError::new(flag, format!("{text:?} {why}, e.g. http://203.0.113.10:44443")));
    let Some(rest) = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")) else {
        return bad("must begin with http:// or https://");
    };
    if rest.contains(['?', '#']) || rest.chars().any(char::is_whitespace) {
        return bad("must be a base URL without query, fragment or spaces");
    }
    let host = rest.split('/').next().unwrap_or_default();
    if host.contains('@') {
        return Err(FieldError::new(flag, "must not carry a user name or password"));
    }
    match http::uri::Authority::from_str(host) {
        Ok(authority) if !authority.host().is_empty() => Ok(text.trim_end_matches('/').to_owned()),
        _ => bad("names no host"),
    }
}

pub(super) const ADDRESS: &str = "is not an address and port: write e.g. 127.0.0.1:1053 or [::1]:1053";

pub(super) fn parsed<T: FromStr>(flag: &str, text: &str, why: &str) -> Result<T, FieldError> {
    text.parse().map_err(|_| FieldError::new(flag, format!("{text:?} {why}")))
}

fn said<T, E: fmt::Display>(flag: &str, result: Result<T, E>) -> Result<T, FieldError> {
    result.map_err(|err| FieldError::new(flag, err.to_string()))
}

pub(super) fn node_name(flags: &Flags) -> Result<String, FieldError> {
    match &flags.node {
        Some(name) => check_object_name("--node", name),
        None => Ok(object_name(&flags.host_name)),
    }
}

/// No `--namespaces`: all of them.
pub(super) fn scope(flags: &Flags) -> Result<Scope, FieldError> {
    let system = check_object_name("--system-namespace", &flags.system_namespace)?;
    let names = flags.namespaces.iter().map(|name| check_object_name("--namespaces", name));
    let names: Vec<String> = names.collect::<Result<_, _>>()?;
    Ok(if names.is_empty() { Scope::all(system) } else { Scope::only(system, names) })
}

pub(super) fn listen(flags: &Flags) -> Result<Listen, FieldError> {
    let dns: Result<Vec<SocketAddr>, FieldError> = flags
        .dns_listen
        .iter()
        .filter(|text| text.as_str() != "none")
        .map(|text| parsed("--dns-listen", text, ADDRESS))
        .collect();
    let listen = Listen {
        api: parsed("--api-listen", &flags.api_listen, ADDRESS)?,
        ops: parsed("--ops-listen", &flags.ops_listen, ADDRESS)?,
        dns: dns?,
    };
    apart("--ops-listen", listen.ops, &[("--api-listen", listen.api)])?;
    let tcp = [("--api-listen", listen.api), ("--ops-listen", listen.ops)];
    for (index, address) in listen.dns.iter().enumerate() {
        apart("--dns-listen", *address, &tcp)?;
        if listen.dns[..index].contains(address) && address.port() != 0 {
            return Err(FieldError::new("--dns-listen", format!("{address} stands twice")));
        }
    }
    Ok(listen)
}

/// Refuses an address that another listener has; the port 0 is the system's choice and never taken.
pub(super) fn apart(
    flag: &str,
    address: SocketAddr,
    others: &[(&str, SocketAddr)],
) -> Result<(), FieldError> {
    match others.iter().find(|(_, other)| *other == address && address.port() != 0) {
        Some((other, _)) => {
            Err(FieldError::new(flag, format!("{address} is {other}'s already: give each its own")))
        }
        None => Ok(()),
    }
}

pub(super) fn first_node(flags: &Flags, node: &str, api: SocketAddr) -> Result<FirstNode, FieldError> {
    let network = match flags.network_type.as_str() {
        "IPV4" => NetworkType::IPV4,
        "IPV6" => NetworkType::IPV6,
        "Both" => NetworkType::Both,
        other => {
            return Err(FieldError::new("--network-type", format!("{other:?} is none of IPV4, IPV6, Both")));
        }
    };
    let work_mode = match flags.work_mode.as_str() {
        "leader" => WorkMode::Leader,
        "follower" => WorkMode::Follower,
        other => {
            return Err(FieldError::new("--work-mode", format!("{other:?} is none of leader, follower")));
        }
    };
    let display_name = flags.display_name.clone().unwrap_or_else(|| node.to_owned());
    if display_name.is_empty() || 64 < display_name.chars().count() {
        return Err(FieldError::new("--display-name", "must have 1 to 64 characters"));
    }
    let (echo, echo_agreement) = echo(flags)?;
    Ok(FirstNode {
        display_name,
        code: node_code(flags, node)?,
        address: advertised(flags, node, api)?,
        work_mode,
        lines: lines("--lines", &flags.lines)?,
        network,
        fixed: fixed(flags, network)?,
        echo,
        echo_agreement,
        allow_private: flags.allow_private,
        secret_file: existing(
            "--secret-file",
            flags.secret_file.clone().into_iter().collect(),
            Path::exists,
            "file",
        )?
        .pop(),
    })
}

fn node_code(flags: &Flags, node: &str) -> Result<String, FieldError> {
    let code = flags.node_code.clone().unwrap_or_else(|| node.chars().take(64).collect());
    let inside = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    let first = code.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    if first && code.len() <= 64 && code.bytes().all(inside) {
        return Ok(code);
    }
    let why = format!("{code:?} must be 1 to 64 letters, digits, dots, underscores or hyphens, e.g. sh01");
    Err(FieldError::new("--node-code", why))
}

/// Whatever it listens on is what peers reach, unless it listens on all addresses: then its name is the best guess.
fn advertised(flags: &Flags, node: &str, api: SocketAddr) -> Result<String, FieldError> {
    match &flags.address {
        Some(text) => check_base_url("--address", text),
        None if api.ip().is_unspecified() => Ok(format!("http://{node}:{}", api.port())),
        None => Ok(format!("http://{api}")),
    }
}

/// Lines as a list of names; each may stand once.
pub fn lines(flag: &str, texts: &[String]) -> Result<Vec<Line>, FieldError> {
    let mut all = Vec::new();
    for text in texts.iter().filter(|text| text.as_str() != "None") {
        let line: Line = said(flag, text.parse())?;
        if all.contains(&line) {
            return Err(FieldError::new(flag, format!("{line} stands twice")));
        }
        all.push(line);
    }
    Ok(all)
}

fn fixed(flags: &Flags, network: NetworkType) -> Result<Vec<IpAddr>, FieldError> {
    const FLAG: &str = "--public-address";
    let read = addresses::parse(&flags.public_addresses, network, flags.allow_private, FLAG);
    let by_flag = |err: FieldError| {
        let why = err.why.replace("spec.networkType", "--network-type");
        FieldError::new(FLAG, why.replace("set spec.addresses.allowPrivate", "add --allow-private"))
    };
    Ok(read.map_err(by_flag)?.into_values().flatten().collect())
}

fn echo(flags: &Flags) -> Result<(Vec<String>, u32), FieldError> {
    if !flags.echo.is_empty() && !flags.public_addresses.is_empty() {
        return Err(FieldError::new(
            "--echo",
            "can't stand beside --public-address: an address has one source",
        ));
    }
    for url in &flags.echo {
        let http = url.starts_with("http://") || url.starts_with("https://");
        if !http || url.parse::<http::Uri>().is_err() {
            return Err(FieldError::new("--echo", format!("{url:?} is not an http or https URL")));
        }
    }
    let most = u32::try_from(flags.echo.len()).unwrap_or(u32::MAX).max(1);
    if !(1..=most).contains(&flags.echo_agreement) {
        let why = format!("{} is out of range: use 1 to the number of --echo ({most})", flags.echo_agreement);
        return Err(FieldError::new("--echo-agreement", why));
    }
    Ok((flags.echo.clone(), flags.echo_agreement))
}

pub(super) fn networks(texts: &[String]) -> Result<Vec<IpNet>, FieldError> {
    const FLAG: &str = "--reveal-credentials-to";
    let read = |text: &String| match text.parse::<IpAddr>() {
        Ok(address) => Ok(IpNet::from(address)),
        Err(_) => parsed::<IpNet>(FLAG, text, "is not a CIDR: write e.g. 192.0.2.0/24"),
    };
    texts.iter().map(read).collect()
}

pub(super) fn authority(flags: &Flags) -> Result<Authority, FieldError> {
    let hostmaster = flags.hostmaster.as_deref().map(mailbox).transpose()?;
    let servers: Result<Vec<DnsName>, FieldError> =
        flags.name_servers.iter().map(|text| DnsName::parse(text, "--name-server")).collect();
    Ok(Authority { hostmaster, name_servers: servers? })
}

/// A mail address as an SOA writes it (RFC 1035 section 8): the part before the `@` is the first label.
fn mailbox(mail: &str) -> Result<DnsName, FieldError> {
    const FLAG: &str = "--hostmaster";
    let refusal = |why: &str| FieldError::new(FLAG, format!("{mail:?} {why}, e.g. hostmaster@example.com"));
    let (person, domain) = mail.split_once('@').ok_or_else(|| refusal("is not a mail address: write one"))?;
    if person.contains('.') {
        return Err(refusal("has a dot before the @, which many read wrongly in an SOA: use one without"));
    }
    let domain = DnsName::parse(domain, FLAG)?;
    domain.child(person, FLAG).map_err(|_| refusal("is not a mail address: write one"))
}

pub(super) fn log(flags: &Flags) -> Result<Log, FieldError> {
    let format = match flags.log_format.as_str() {
        "text" => LogFormat::Text,
        "json" => LogFormat::Json,
        other => return Err(FieldError::new("--log-format", format!("{other:?} is none of text, json"))),
    };
    if let Err(err) = tracing_subscriber::EnvFilter::try_new(&flags.log) {
        return Err(FieldError::new(
            "--log",
            format!("{:?}: {err}; write e.g. info,cocoasyncer=debug", flags.log),
        ));
    }
    Ok(Log { filter: flags.log.clone(), format })
}

pub(super) fn existing(
    flag: &str,
    paths: Vec<PathBuf>,
    right: fn(&Path) -> bool,
    kind: &str,
) -> Result<Vec<PathBuf>, FieldError> {
    match paths.iter().find(|path| !right(path)) {
        Some(path) => Err(FieldError::new(flag, format!("there is no {kind} {}", path.display()))),
        None => Ok(paths),
    }
}

/// Shorter than 6 s a slow answer costs the term; longer than a minute nobody would wait.
pub(super) fn lease_seconds(flags: &Flags) -> Result<u32, FieldError> {
    match flags.lease_seconds {
        seconds @ 6..=60 => Ok(seconds),
        other => Err(FieldError::new("--lease-seconds", format!("{other} is out of range: 6 to 60"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_becomes_an_object_name() {
        for (host, name) in
            [("Shanghai", "shanghai"), ("my_host-.lan", "my-host"), ("", "node"), ("心", "node")]
        {
            assert_eq!(object_name(host), name);
            assert!(check_object_name("--node", name).is_ok());
        }
    }
}
