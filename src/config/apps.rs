//! Settings of applications: where templates lie, what runs them, what they may, who may ask for them.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;

use crate::config::app_cluster::{self, ClusterFlags};
use crate::config::checks::{check_object_name, existing};
use crate::domain::app::finding::Right;
use crate::domain::app::kubernetes::Options;
use crate::domain::names::FieldError;
use crate::domain::scope::Scope;

/// Where the engine listens unless told otherwise.
pub const DEFAULT_DOCKER: &str = "/var/run/docker.sock";
/// Rendered files of applications, where no data directory is.
pub const DEFAULT_APPS_DIR: &str = "/var/lib/cocoasyncer/apps";
/// The tokens' name in the data directory.
pub const TOKENS: &str = "app-tokens";

/// Settings of applications.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Apps {
    /// Folders of templates, each with whether it is official; of two templates with one name the later folder's holds.
    pub catalogs: Vec<(PathBuf, bool)>,
    /// The Docker engine's socket; none: no Docker.
    pub docker: Option<PathBuf>,
    /// Where rendered files lie, a folder an application.
    pub dir: PathBuf,
    /// Namespace of the Apps that the App API makes.
    pub namespace: String,
    /// Who may call the App API.
    pub auth: AppAuth,
    /// Whether a failed call of the App API is told with HTTP 200, as the later program did.
    pub always_200: bool,
    /// Rights over the host that Apps may be given, where they ask for them by name.
    pub allow: BTreeSet<Right>,
    /// Installs at a time.
    pub at_once: usize,
    /// The host's name or address in applications' URLs; none: this node's public address.
    pub host: Option<String>,
    /// How a cluster wants them.
    pub cluster: Options,
}

/// Who may call the App API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppAuth {
    /// Who shows a token of this file; it is made, with one token, where it is missing and `made` says so.
    Tokens {
        /// Rows `NAME read|operate TOKEN`.
        file: PathBuf,
        /// Whether a missing file is made.
        made: bool,
    },
    /// A gateway in front has asked already: callers from these networks.
    Gateway(Vec<IpNet>),
}

/// What was written on the command line, unchecked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the flag of its name, told in the command line's help")]
pub struct AppFlags {
    pub catalogs: Vec<PathBuf>,
    pub official_catalogs: Vec<PathBuf>,
    pub docker: String,
    pub docker_host: Option<String>,
    pub dir: Option<PathBuf>,
    pub namespace: Option<String>,
    pub auth: String,
    pub token_file: Option<PathBuf>,
    pub gateway_from: Vec<String>,
    pub always_200: bool,
    pub allow: Vec<String>,
    pub at_once: usize,
    pub host: Option<String>,
    pub cluster: ClusterFlags,
}

impl Apps {
    /// Checks the flags. `data_dir` is the embedded plane's; none: the plane is a cluster.
    pub fn checked(flags: AppFlags, scope: &Scope, data_dir: Option<&Path>) -> Result<Self, FieldError> {
        let official = existing("--official-catalog", flags.official_catalogs, Path::is_dir, "folder")?;
        let others = existing("--catalog", flags.catalogs, Path::is_dir, "folder")?;
        let official = official.into_iter().map(|folder| (folder, true));
        let catalogs = official.chain(others.into_iter().map(|folder| (folder, false))).collect();
        let right = |text: &String| {
            Right::parse(text).ok_or_else(|| {
                let known: Vec<&str> = Right::ALL.iter().map(|right| right.as_str()).collect();
                FieldError::new("--app-allow", format!("{text:?} is none of {}", known.join(", ")))
            })
        };
        if flags.at_once == 0 || 64 < flags.at_once {
            return Err(FieldError::new("--app-installs-at-once", "must be 1 to 64"));
        }
        if let Some(host) = &flags.host {
            let plain = |c: char| c.is_alphanumeric() || "-.:[]".contains(c);
            if host.is_empty() || 253 < host.len() || !host.chars().all(plain) {
                return Err(FieldError::new("--app-host", format!("{host:?} is no host's name or address")));
            }
        }
        Ok(Self {
            catalogs,
            docker: docker(&flags.docker, flags.docker_host.as_deref(), data_dir.is_some())?,
            dir: flags
                .dir
                .unwrap_or_else(|| data_dir.map_or(DEFAULT_APPS_DIR.into(), |dir| dir.join("apps"))),
            namespace: namespace(flags.namespace.as_deref(), scope)?,
            auth: auth(&flags.auth, flags.token_file, &flags.gateway_from, data_dir)?,
            always_200: flags.always_200,
            allow: flags.allow.iter().map(right).collect::<Result<_, _>>()?,
            at_once: flags.at_once,
            host: flags.host,
            cluster: app_cluster::options(flags.cluster)?,
        })
    }
}

/// Left out it is `default`, where that is served, else the system namespace.
fn namespace(flag: Option<&str>, scope: &Scope) -> Result<String, FieldError> {
    let default = if scope.covers("default") { "default" } else { scope.system() };
    let name = check_object_name("--app-namespace", flag.unwrap_or(default))?;
    if scope.covers(&name) {
        return Ok(name);
    }
    let served: Vec<&str> = scope.places().into_iter().flatten().collect();
    let why = format!("{name} is not served: name one of {}, or add it to --namespaces", served.join(", "));
    Err(FieldError::new("--app-namespace", why))
}

/// `auto` is the engine of this host where there is one, for a plane inside; in a cluster the cluster is the runtime.
fn docker(flag: &str, host: Option<&str>, inside: bool) -> Result<Option<PathBuf>, FieldError> {
    let socket = |address: &str| {
        let path = address.strip_prefix("unix://").unwrap_or(address);
        if path.starts_with('/') {
            return Ok(Some(PathBuf::from(path)));
        }
        let why =
            format!("{address:?} is no socket of this host: write auto, none or unix:///var/run/docker.sock");
        Err(FieldError::new("--docker", why))
    };
    match (flag, host) {
        ("none", _) => Ok(None),
        ("auto", _) if !inside => Ok(None),
        ("auto", Some(host)) if host.starts_with("unix://") => socket(host),
        ("auto", _) => Ok(Some(PathBuf::from(DEFAULT_DOCKER)).filter(|socket| socket.exists())),
        (address, _) => socket(address),
    }
}

fn auth(
    mode: &str,
    file: Option<PathBuf>,
    from: &[String],
    data_dir: Option<&Path>,
) -> Result<AppAuth, FieldError> {
    match mode {
        "token" => Ok(match (file, data_dir) {
            (Some(file), _) => AppAuth::Tokens { file, made: false },
            (None, Some(dir)) => AppAuth::Tokens { file: dir.join(TOKENS), made: true },
            // Without a file there is no token, and nobody may.
            (None, None) => AppAuth::Tokens { file: PathBuf::new(), made: false },
        }),
        "gateway" if from.is_empty() => {
            let loopback = [IpAddr::from([127, 0, 0, 0]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])];
            let nets = loopback.into_iter().zip([8, 128]).filter_map(|(ip, len)| IpNet::new(ip, len).ok());
            Ok(AppAuth::Gateway(nets.collect()))
        }
        "gateway" => {
            let read = |text: &String| {
                let why = || format!("{text:?} is not a network: write e.g. 192.0.2.0/24");
                text.parse().map_err(|_| FieldError::new("--app-gateway-from", why()))
            };
            Ok(AppAuth::Gateway(from.iter().map(read).collect::<Result<_, _>>()?))
        }
        other => Err(FieldError::new("--app-auth", format!("{other:?} is neither token nor gateway"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags() -> AppFlags {
        AppFlags { docker: "none".into(), auth: "token".into(), at_once: 1, ..AppFlags::default() }
    }

    #[test]
    fn defaults_lie_in_the_data_directory_and_want_a_token() {
        let apps = Apps::checked(flags(), &Scope::default(), Some(Path::new("/data"))).unwrap();
        assert_eq!(apps.dir, Path::new("/data/apps"));
        assert_eq!(apps.auth, AppAuth::Tokens { file: "/data/app-tokens".into(), made: true });
        assert_eq!(Apps::checked(flags(), &Scope::default(), None).unwrap().dir, Path::new(DEFAULT_APPS_DIR));
        let gateway = AppFlags { auth: "gateway".into(), ..flags() };
        let AppAuth::Gateway(from) = Apps::checked(gateway, &Scope::default(), None).unwrap().auth else {
            panic!("a gateway")
        };
        assert!(from.iter().any(|net| net.contains(&IpAddr::from([127, 0, 0, 1]))));
        assert!(!from.iter().any(|net| net.contains(&IpAddr::from([192, 0, 2, 1]))));
    }

    #[test]
    fn the_engine_is_a_socket_of_this_host() {
        assert_eq!(docker("unix:///run/d.sock", None, true).unwrap(), Some("/run/d.sock".into()));
        assert_eq!(docker("/run/d.sock", None, false).unwrap(), Some("/run/d.sock".into()));
        assert_eq!(docker("auto", Some("unix:///run/e.sock"), true).unwrap(), Some("/run/e.sock".into()));
        assert_eq!(docker("auto", Some("unix:///run/e.sock"), false).unwrap(), None);
        assert_eq!(docker("tcp://192.0.2.1:2375", None, true).unwrap_err().field, "--docker");
    }

    #[test]
    fn every_bad_value_is_refused_by_its_flag() {
        #[track_caller]
        fn check(flag: &str, change: impl FnOnce(&mut AppFlags)) {
            let mut flags = flags();
            change(&mut flags);
            assert_eq!(Apps::checked(flags, &Scope::default(), None).unwrap_err().field, flag);
        }
        check("--catalog", |f| f.catalogs.push("/no/such".into()));
        check("--official-catalog", |f| f.official_catalogs.push("/no/such".into()));
        check("--app-namespace", |f| f.namespace = Some("A b".into()));
        check("--app-auth", |f| f.auth = "none".into());
        check("--app-gateway-from", |f| (f.auth, f.gateway_from) = ("gateway".into(), vec!["x".into()]));
        check("--app-allow", |f| f.allow.push("root".into()));
        check("--app-installs-at-once", |f| f.at_once = 0);
        check("--app-host", |f| f.host = Some("a b".into()));
    }
}
