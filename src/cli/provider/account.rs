//! What a platform needs to know of an account: flags into the data of a Secret, and what is missing in one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::Args;
use k8s_openapi::ByteString;

use crate::api::vocab::{Line, PlatformProvider};
use crate::api::{ACCESS_KEY, ACCESS_SECRET, ACCOUNT_ENDPOINT, ACCOUNT_SERVER, ACCOUNT_SIGNATURE};
use crate::cli::error::CliError;
use crate::cli::prompt::{self, From};
use crate::cli::provider::tsig::TsigKey;
use crate::domain::names::{DnsName, FieldError};
use crate::domain::secret::Secret;
use crate::wire::render::without_user;

/// How Ali's calls can be signed.
const SIGNATURES: [&str; 2] = ["ACS3-HMAC-SHA256", "HMAC-SHA1"];

/// Flags that say what an account is.
#[derive(Debug, Default, Args)]
pub struct AccountArgs {
    /// File with the access key's id; left out: asked for, or the first line of standard input
    #[arg(long, value_name = "FILE")]
    access_key_file: Option<PathBuf>,
    /// File with the access key's secret; left out: asked for, or the next line of standard input
    #[arg(long, value_name = "FILE")]
    access_secret_file: Option<PathBuf>,
    /// Where the API is; left out: https://alidns.aliyuncs.com
    #[arg(long, value_name = "URL", help_heading = "Ali")]
    endpoint: Option<String>,
    /// How calls are signed: ACS3-HMAC-SHA256 or HMAC-SHA1; left out: the first
    #[arg(long, value_name = "NAME", help_heading = "Ali")]
    signature: Option<String>,
    /// The name server that takes updates; several by commas, tried in turn
    #[arg(long, value_name = "HOST[:PORT]", help_heading = "RFC2136")]
    server: Option<String>,
    /// File with the TSIG key of the line default, `NAME SECRET` or as tsig-keygen prints it; instead of the two above
    #[arg(long, value_name = "FILE", conflicts_with_all = ["access_key_file", "access_secret_file"], help_heading = "RFC2136")]
    key_file: Option<PathBuf>,
    /// File with the TSIG key of another line, e.g. CT=ct.key; once for each line that has a view of its own
    #[arg(long = "line-key", value_name = "LINE=FILE", help_heading = "RFC2136")]
    line_keys: Vec<String>,
}

impl AccountArgs {
    /// The data of the account's Secret: files are read, and the person is asked, only after all flags are right.
    pub fn data(self, platform: PlatformProvider) -> Result<BTreeMap<String, Secret>, CliError> {
        let Self { access_key_file, access_secret_file, endpoint, signature, server, key_file, line_keys } =
            self;
        let (ali, rfc2136) = (PlatformProvider::Ali, PlatformProvider::RFC2136);
        for (flag, given, of) in [
            ("--endpoint", endpoint.is_some(), ali),
            ("--signature", signature.is_some(), ali),
            ("--server", server.is_some(), rfc2136),
            ("--key-file", key_file.is_some(), rfc2136),
            ("--line-key", !line_keys.is_empty(), rfc2136),
        ] {
            if given && of != platform {
                return Err(FieldError::new(flag, format!("is for {of}, not for {platform}")).into());
            }
        }
        let mut data = BTreeMap::new();
        let told = [
            (ACCOUNT_ENDPOINT, endpoint.as_deref().map(check_endpoint).transpose()?),
            (ACCOUNT_SIGNATURE, signature.as_deref().map(check_signature).transpose()?),
            (ACCOUNT_SERVER, server.as_deref().map(check_server).transpose()?),
        ];
        let told = told.into_iter().filter_map(|(key, value)| Some((key.to_owned(), Secret::new(value?))));
        data.extend(told);
        let keys = line_keys.iter().map(|text| line_key(text)).collect::<Result<Vec<_>, _>>()?;
        let all: BTreeSet<Line> = keys.iter().map(|(line, _)| *line).collect();
        if all.len() < keys.len() {
            return Err(FieldError::new("--line-key", "names a line twice").into());
        }
        if platform == rfc2136 && server.is_none() {
            return Err(FieldError::new("--server", "is needed: name the server that takes updates").into());
        }
        for (line, path) in keys {
            put(&mut data, line, tsig(path, "--line-key")?)?;
        }
        if let Some(path) = &key_file {
            put(&mut data, Line::Default, tsig(path, "--key-file")?)?;
            return Ok(data);
        }
        let key = access_key_file.as_deref().map_or(From::Person("accessKey: "), From::File);
        let key = prompt::secret(key, "--access-key-file")?;
        let secret = access_secret_file.as_deref().map_or(From::Person("accessSecret: "), From::File);
        let secret = prompt::secret(secret, "--access-secret-file")?;
        if platform == rfc2136 {
            put(&mut data, Line::Default, TsigKey::of(key.expose(), secret.expose(), "--access-key-file")?)?;
        } else {
            data.extend([(ACCESS_KEY.to_owned(), key), (ACCESS_SECRET.to_owned(), secret)]);
        }
        Ok(data)
    }
}

/// What an account's Secret holds, without its secrets.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// The servers or the endpoint; empty where none is named.
    pub at: String,
    /// Lines with a key of their own; empty where one key is for all.
    pub lines: Vec<Line>,
    /// Keys that must be there and are not.
    pub missing: Vec<String>,
    /// Keys for lines that there are not.
    pub unknown: Vec<String>,
}

impl Shown {
    /// Looks at a Secret's data.
    pub fn of(platform: PlatformProvider, data: &BTreeMap<String, ByteString>) -> Self {
        let has = |key: &str| data.get(key).is_some_and(|bytes| !bytes.0.trim_ascii().is_empty());
        let text = |key: &str| {
            data.get(key).map(|bytes| String::from_utf8_lossy(&bytes.0).trim().to_owned()).unwrap_or_default()
        };
        let rfc2136 = platform == PlatformProvider::RFC2136;
        let of_lines = Line::ALL.into_iter().map(|line| (line, pair(line)));
        let all: Vec<_> = of_lines
            .filter(|(line, pair)| {
                *line == Line::Default || rfc2136 && pair.iter().any(|key| data.contains_key(key))
            })
            .collect();
        let server = rfc2136.then(|| ACCOUNT_SERVER.to_owned());
        let needed = server.into_iter().chain(all.iter().flat_map(|(_, pair)| pair.clone()));
        let complete = |(_, pair): &&(Line, [String; 2])| pair.iter().all(|key| has(key));
        let known: BTreeSet<String> = Line::ALL.into_iter().flat_map(pair).collect();
        let strays = data.keys().filter(|key| {
            let of_line = key.starts_with("accessKey.") || key.starts_with("accessSecret.");
            rfc2136 && of_line && !known.contains(*key)
        });
        Self {
            // By hand somebody may have written a password into it.
            at: without_user(&text(if rfc2136 { ACCOUNT_SERVER } else { ACCOUNT_ENDPOINT })),
            missing: needed.filter(|key| !has(key)).collect(),
            lines: all.iter().filter(|_| rfc2136).filter(complete).map(|(line, _)| *line).collect(),
            unknown: strays.cloned().collect(),
        }
    }
}

/// The keys of a Secret that hold a line's key.
fn pair(line: Line) -> [String; 2] {
    [ACCESS_KEY, ACCESS_SECRET].map(|key| match line {
        Line::Default => key.to_owned(),
        _ => format!("{key}.{line}"),
    })
}

fn put(data: &mut BTreeMap<String, Secret>, line: Line, key: TsigKey) -> Result<(), FieldError> {
    let [name, secret] = pair(line);
    let named = Secret::new(key.name);
    if data.iter().any(|(other, value)| other.starts_with(ACCESS_KEY) && *value == named) {
        let why = format!("gives {line} the key of another line: each view is chosen by its own key");
        return Err(FieldError::new("--line-key", why));
    }
    data.extend([(name, named), (secret, key.secret)]);
    Ok(())
}

fn tsig(path: &Path, flag: &str) -> Result<TsigKey, CliError> {
    // Here standard input is the whole of it and not one line.
    let path = if path == Path::new("-") { Path::new("/dev/stdin") } else { path };
    Ok(TsigKey::read(&prompt::secret(From::File(path), flag)?, flag)?)
}

fn line_key(text: &str) -> Result<(Line, &Path), FieldError> {
    const FLAG: &str = "--line-key";
    let shape = || FieldError::new(FLAG, format!("{text:?} is not LINE=FILE: write e.g. CT=ct.key"));
    let (line, path) = text.split_once('=').filter(|(_, path)| !path.is_empty()).ok_or_else(shape)?;
    match line.parse().map_err(|error| FieldError::new(FLAG, format!("{error}")))? {
        Line::Default => Err(FieldError::new(FLAG, "is for other lines: name default's file by --key-file")),
        line => Ok((line, Path::new(path))),
    }
}

fn check_endpoint(text: &str) -> Result<String, FieldError> {
    let uri = text.parse::<http::Uri>().ok().filter(|uri| {
        let bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
        let web = matches!(uri.scheme_str(), Some("https" | "http"));
        web && bare && uri.authority().is_some_and(|at| !at.as_str().contains('@') && !at.host().is_empty())
    });
    // Not repeated: a password may stand in it.
    let why = "must be a scheme, a host and a port only, e.g. https://alidns.aliyuncs.com";
    uri.map(|_| text.to_owned()).ok_or_else(|| FieldError::new("--endpoint", why))
}

fn check_signature(text: &str) -> Result<String, FieldError> {
    match SIGNATURES.contains(&text) {
        true => Ok(text.to_owned()),
        false => {
            Err(FieldError::new("--signature", format!("{text:?} is none of {}", SIGNATURES.join(", "))))
        }
    }
}

fn check_server(text: &str) -> Result<String, FieldError> {
    let host = |text: &str| text.parse::<IpAddr>().is_ok() || DnsName::parse(text, "").is_ok();
    let good = |one: &str| {
        let bracketed = one.strip_prefix('[').and_then(|one| one.strip_suffix(']'));
        let named = |(name, port): (&str, &str)| host(name) && port.parse::<u16>().is_ok_and(|port| 0 < port);
        bracketed.map_or_else(|| host(one), |ip| ip.parse::<IpAddr>().is_ok())
            || one.parse::<SocketAddr>().is_ok_and(|at| 0 < at.port())
            || one.split_once(':').is_some_and(named)
    };
    match text.split(',').map(str::trim).find(|one| !good(one)) {
        None => Ok(text.to_owned()),
        Some(one) => {
            let why = format!("{one:?} is not HOST, HOST:PORT or [ADDRESS]:PORT, e.g. ns1.example.com:53");
            Err(FieldError::new("--server", why))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALI: PlatformProvider = PlatformProvider::Ali;
    const RFC2136: PlatformProvider = PlatformProvider::RFC2136;

    #[derive(clap::Parser)]
    struct Words {
        #[command(flatten)]
        account: AccountArgs,
    }

    /// The keys of the Secret that these words give, or the refusal.
    fn data(platform: PlatformProvider, words: &[&str]) -> Result<BTreeMap<String, Secret>, String> {
        let words = std::iter::once(&"set").chain(words);
        let parsed = <Words as clap::Parser>::try_parse_from(words).map_err(|error| error.to_string())?;
        parsed.account.data(platform).map_err(|error| error.to_string())
    }

    #[test]
    fn flags_and_files_become_the_secret_that_the_platform_reads() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let (id, secret) = (file("id", "LTAI\n"), file("secret", "c2VjcmV0\n"));
        let default = file("default.key", "key \"d\" { algorithm hmac-sha512; secret \"c2VjcmV0\"; };");
        let ct = format!("CT={}", file("ct.key", "ct c2VjcmV0"));
        let pairs = ["--access-key-file", &id, "--access-secret-file", &secret];
        let show = |data: BTreeMap<String, Secret>| -> Vec<String> {
            data.iter().map(|(key, value)| format!("{key}={}", value.expose())).collect()
        };
        let ali = ["--endpoint", "https://dns.example:8443", "--signature", "HMAC-SHA1"];
        assert_eq!(
            show(data(ALI, &[&pairs[..], &ali].concat()).unwrap()),
            [
                "accessKey=LTAI",
                "accessSecret=c2VjcmV0",
                "endpoint=https://dns.example:8443",
                "signature=HMAC-SHA1"
            ]
        );
        let views = ["--server", "ns1:5353,[2001:db8::1]", "--key-file", &default, "--line-key", &ct];
        assert_eq!(
            show(data(RFC2136, &views).unwrap()),
            [
                "accessKey=hmac-sha512:d",
                "accessKey.CT=ct",
                "accessSecret=c2VjcmV0",
                "accessSecret.CT=c2VjcmV0",
                "server=ns1:5353,[2001:db8::1]"
            ]
        );
        assert_eq!(data(RFC2136, &[&pairs[..], &["--server", "192.0.2.1"]].concat()).unwrap().len(), 3);

        let same = format!("CU={}", file("cu.key", "ct c2VjcmV0"));
        let all = [&views[..], &["--line-key", &same]].concat();
        assert!(data(RFC2136, &all).unwrap_err().contains("the key of another line"));
        let broken = format!("CU={}", file("broken.key", "canary"));
        let refusal = data(RFC2136, &[&views[..], &["--line-key", &broken]].concat()).unwrap_err();
        assert!(refusal.starts_with("--line-key: holds no key") && !refusal.contains("canary"), "{refusal}");
        assert!(data(RFC2136, &[&views[..], &pairs].concat()).unwrap_err().contains("cannot be used with"));
    }

    #[test]
    fn a_wrong_flag_is_refused_before_a_file_is_read_or_anybody_asked() {
        #[track_caller]
        fn check(platform: PlatformProvider, words: &[&str], why: &str) {
            let refusal = data(platform, words).unwrap_err();
            assert!(refusal.starts_with(why), "{refusal}");
        }
        check(ALI, &["--server", "ns1"], "--server: is for RFC2136, not for Ali");
        check(ALI, &["--line-key", "CT=x"], "--line-key: is for RFC2136");
        check(RFC2136, &["--endpoint", "https://x"], "--endpoint: is for Ali");
        check(RFC2136, &[], "--server: is needed");
        check(RFC2136, &["--server", "ns1:x"], "--server: \"ns1:x\" is not HOST");
        check(RFC2136, &["--server", "http://ns1"], "--server: ");
        check(RFC2136, &["--server", "ns1", "--line-key", "CT"], "--line-key: \"CT\" is not LINE=FILE");
        check(RFC2136, &["--server", "ns1", "--line-key", "XX=f"], "--line-key: ");
        check(RFC2136, &["--server", "ns1", "--line-key", "default=f"], "--line-key: is for other lines");
        check(
            RFC2136,
            &["--server", "ns1", "--line-key", "CT=f", "--line-key", "CT=g"],
            "--line-key: names a line",
        );
        check(ALI, &["--signature", "MD5"], "--signature: \"MD5\" is none of ACS3-HMAC-SHA256, HMAC-SHA1");
        for bad in ["dns.example", "https://u:p@dns.example", "https://dns.example/x", "ftp://dns.example"] {
            check(ALI, &["--endpoint", bad], "--endpoint: must be");
        }
    }

    #[test]
    fn a_listing_tells_what_is_there_and_what_is_missing_and_no_secret() {
        let shown = |platform, data: &[(&str, &str)]| {
            let bytes =
                |(key, value): &(&str, &str)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec()));
            Shown::of(platform, &data.iter().map(bytes).collect())
        };
        let whole = [("accessKey", "canary"), ("accessSecret", "canary")];
        assert_eq!(shown(ALI, &whole), Shown::default());
        assert_eq!(shown(ALI, &[("accessSecret", " \n")]).missing, ["accessKey", "accessSecret"]);
        let lines = [
            ("server", "ns1"),
            ("accessKey.CT", "canary"),
            ("accessSecret.CT", "canary"),
            ("accessKey.CU", "x"),
        ];
        let views = shown(RFC2136, &[&whole[..], &lines].concat());
        assert_eq!((views.at.as_str(), views.lines.as_slice()), ("ns1", &[Line::Default, Line::CT][..]));
        assert_eq!(views.missing, ["accessSecret.CU"]);
        let empty = shown(RFC2136, &[("accessKey.ct", "x")]);
        assert_eq!(empty.missing, ["server", "accessKey", "accessSecret"]);
        assert_eq!(empty.unknown, ["accessKey.ct"]);
    }
}
