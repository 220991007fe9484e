//! Who may call: bearer tokens with scopes, or nobody is asked because a gateway in front did. It tells nobody which
//! token was nearly right: all are compared, each in constant time.

use http::HeaderMap;
use http::header::AUTHORIZATION;

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
    /// Not at all: the gateway in front did it, and nobody else reaches this listener.
    Gateway,
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
}

impl Auth {
    /// Whether a caller with these headers may do what needs `scope`.
    pub fn admit(&self, headers: &HeaderMap, scope: Scope) -> Result<Admitted<'_>, Denied> {
        let tokens = match self {
            Auth::Gateway => return Ok(Admitted { name: "gateway", scope: Scope::Operate }),
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
            auth.admit(&headers.into_iter().collect(), scope).map(|admitted| admitted.name.to_owned())
        };
        assert_eq!(admit(Some("Bearer eye-secret"), Scope::Read), Ok("eye".into()));
        assert_eq!(admit(Some("bearer  hand-secret"), Scope::Read), Ok("hand".into()));
        assert_eq!(admit(Some("Bearer hand-secret"), Scope::Operate), Ok("hand".into()));
        assert_eq!(admit(Some("Bearer eye-secret"), Scope::Operate), Err(Denied::Scope));
        assert_eq!(admit(Some("Bearer eye-secre"), Scope::Read), Err(Denied::Wrong));
        for missing in [None, Some("Bearer"), Some("Bearer "), Some("Basic eye-secret"), Some("eye-secret")] {
            assert_eq!(admit(missing, Scope::Read), Err(Denied::Missing), "{missing:?}");
        }
        assert_eq!(Auth::Tokens(vec![]).admit(&HeaderMap::new(), Scope::Read), Err(Denied::Missing));
        assert!(Auth::Gateway.admit(&HeaderMap::new(), Scope::Operate).is_ok());
    }
}
