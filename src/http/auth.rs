//! Who may call: bearer tokens with scopes, or nobody is asked because a gateway in front did. It tells nobody which
//! token was nearly right: all are compared, each in constant time.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use ipnet::IpNet;

use crate::domain::secret::Secret;

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Looks on. Passwords of applications read `***`.
    Read,
    /// Looks on, sees passwords, installs, removes, starts and stops.
    Operate,
}

/// A token.
#[derive(Debug, Clone)]
pub struct Token {
    /// Its name, for the log.
    pub name: String,
    /// The token itself. An empty one admits nobody.
    pub secret: Secret,
    /// What it is good for.
    pub scope: Scope,
}

/// How callers are told apart.
#[derive(Debug, Clone)]
pub enum Auth {
    /// By bearer tokens; an empty list admits nobody.
    Tokens(Vec<Token>),
    /// By where they call from: the gateway's networks, for it has asked already. By the connection's own address; what
    /// a proxy claims in a header counts for nothing.
    Gateway(Vec<IpNet>),
}

/// A caller who may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admitted<'a> {
    /// The token's name.
    pub name: &'a str,
    /// What it is good for.
    pub scope: Scope,
}

/// Why a caller may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// No bearer token.
    Missing,
    /// Nobody's.
    Wrong,
    /// It is good for less.
    Scope,
    /// The caller is not the gateway.
    Elsewhere,
}

impl Auth {
    /// Whether a caller at this address with these headers may do what needs `scope`.
    pub fn admit(
        &self,
        caller: Option<IpAddr>,
        headers: &HeaderMap,
        scope: Scope,
    ) -> Result<Admitted<'_>, Denied> {
        let tokens = match self {
            Auth::Gateway(from) => {
                let known = caller.is_some_and(|caller| from.iter().any(|net| net.contains(&caller)));
                let admitted = Admitted { name: "gateway", scope: Scope::Operate };
                return if known { Ok(admitted) } else { Err(Denied::Elsewhere) };
            }
            Auth::Tokens(tokens) => tokens,
        };
        let offered = bearer(headers).ok_or(Denied::Missing)?;
        // No early end: how long it takes must not tell which one it was.
        let matching = tokens.iter().filter(|token| token.secret.matches(offered));
        let found = matching.fold(None::<&Token>, |best, token| match best {
            Some(best) if token.scope <= best.scope => Some(best),
            _ => Some(token),
        });
        match found {
            None => Err(Denied::Wrong),
            Some(token) if token.scope < scope => Err(Denied::Scope),
            Some(token) => Ok(Admitted { name: &token.name, scope: token.scope }),
        }
    }
}

/// The bearer token of a request; the scheme's name is in any case (RFC 9110).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_admits_to_its_scope() {
        let token = |name: &str, scope| Token {
            name: name.into(),
            secret: Secret::new(format!("{name}-secret")),
            scope,
        };
        let empty = Token { name: "empty".into(), secret: Secret::default(), scope: Scope::Operate };
        let auth = Auth::Tokens(vec![token("eye", Scope::Read), empty, token("hand", Scope::Operate)]);
        let admit = |header: Option<&str>, scope| {
            let headers = header.map(|text| (AUTHORIZATION, text.parse().unwrap()));
            auth.admit(None, &headers.into_iter().collect(), scope).map(|admitted| admitted.name.to_owned())
        };
        assert_eq!(admit(Some("Bearer eye-secret"), Scope::Read), Ok("eye".into()));
        assert_eq!(admit(Some("bearer  hand-secret"), Scope::Read), Ok("hand".into()));
        assert_eq!(admit(Some("Bearer hand-secret"), Scope::Operate), Ok("hand".into()));
        assert_eq!(admit(Some("Bearer eye-secret"), Scope::Operate), Err(Denied::Scope));
        assert_eq!(admit(Some("Bearer eye-secre"), Scope::Read), Err(Denied::Wrong));
        for missing in [None, Some("Bearer"), Some("Bearer "), Some("Basic eye-secret"), Some("eye-secret")] {
            assert_eq!(admit(missing, Scope::Read), Err(Denied::Missing), "{missing:?}");
        }
        assert_eq!(Auth::Tokens(vec![]).admit(None, &HeaderMap::new(), Scope::Read), Err(Denied::Missing));
        let gateway = Auth::Gateway(vec!["192.0.2.0/24".parse().unwrap()]);
        let from = |ip: Option<&str>| {
            gateway.admit(ip.map(|ip| ip.parse().unwrap()), &HeaderMap::new(), Scope::Operate).is_ok()
        };
        assert!(from(Some("192.0.2.7")) && !from(Some("198.51.100.7")) && !from(None));
    }
}
