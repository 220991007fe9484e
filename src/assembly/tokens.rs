//! The file with the App API's tokens: rows `NAME read|operate TOKEN`, blank lines and `#` lines left out.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context as _, bail};
use ring::rand::{SecureRandom, SystemRandom};
use tracing::{info, warn};

use crate::domain::secret::Secret;
use crate::http::auth::{Scope, Token};

/// The shortest token that is taken.
const SHORTEST: usize = 16;

/// Reads `file`; makes it with one token that may operate where it is missing and `make` says so. An empty path is no
/// file: then nobody may call.
pub fn read(file: &Path, make: bool) -> anyhow::Result<Vec<Token>> {
    if file.as_os_str().is_empty() {
        warn!("no --app-token-file: the App API admits nobody");
        return Ok(Vec::new());
    }
    let text = match fs::read_to_string(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && make => {
            let made = made(file);
            made.with_context(|| format!("make the App API's token in {}", file.display()))?
        }
        read => read.with_context(|| format!("--app-token-file: read {}", file.display()))?,
    };
    parse(&text).with_context(|| format!("--app-token-file: {}", file.display()))
}

fn made(file: &Path) -> io::Result<String> {
    let mut bytes = [0u8; 24];
    SystemRandom::new().fill(&mut bytes).map_err(|_| io::Error::other("the system gives no random bytes"))?;
    let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let text = format!("# Tokens of the App API: NAME read|operate TOKEN\nadmin operate {token}\n");
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?.write_all(text.as_bytes())?;
    info!(file = %file.display(), "made a token for the App API");
    Ok(text)
}

fn parse(text: &str) -> anyhow::Result<Vec<Token>> {
    let mut tokens: Vec<Token> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let row = index + 1;
        // The row may hold a token: its number tells enough.
        let (name, scope, token) = match words[..] {
            [] => continue,
            [first, ..] if first.starts_with('#') => continue,
            [name, "read", token] => (name, Scope::Read, token),
            [name, "operate", token] => (name, Scope::Operate, token),
            _ => bail!("row {row} is not NAME read|operate TOKEN"),
        };
        if token.len() < SHORTEST {
            bail!("row {row}: the token is shorter than {SHORTEST} characters");
        }
        if tokens.iter().any(|known| known.name == name) {
            bail!("row {row}: {name} stands twice");
        }
        tokens.push(Token { name: name.to_owned(), secret: Secret::new(token), scope });
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_token_is_made_once_and_only_for_its_owner() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("data/app-tokens");
        assert!(read(&file, false).is_err());
        let made = read(&file, true).unwrap();
        assert_eq!((made.len(), made[0].scope), (1, Scope::Operate));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read(&file, true).unwrap()[0].secret, made[0].secret);
        assert!(read(Path::new(""), true).unwrap().is_empty());
    }

    #[test]
    fn rows_are_read_and_a_bad_one_is_told_by_its_number_alone() {
        let text = "# who\n\neye read 0123456789abcdef\nhand operate fedcba9876543210\n";
        let tokens = parse(text).unwrap();
        assert_eq!(tokens.iter().map(|t| t.name.as_str()).collect::<Vec<_>>(), ["eye", "hand"]);
        for bad in [
            "a b 0123456789abcdef",
            "a read",
            "a read short",
            "a read 0123456789abcdef\na read 0123456789abcdee",
        ] {
            let error = format!("{:#}", parse(bad).unwrap_err());
            assert!(error.contains("row") && !error.contains("0123456789"), "{error}");
        }
    }
}
